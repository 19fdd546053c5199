"""Networks: parts with no idea of their own."""
