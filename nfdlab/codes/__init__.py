"""What the approaches that diffuse codes share: autoencoding a field, normalising its code, what data say of a code."""
