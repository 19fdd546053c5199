"""LaTeX to MathML, which browsers show without scripts or fonts from the network."""

import re

from latex2mathml.converter import convert

# LaTeX of the lessons that the converter does not know, and its equivalent.
SAME = {r"\begin{aligned}": r"\begin{align*}", r"\end{aligned}": r"\end{align*}", r"\arg": r"\operatorname{arg}"}
# Output of the converter that browsers show badly: \sim is a relation, bars are fences, log x needs a thin space.
MENDED = {
    r"<mi>&#x0007E;</mi>": "<mo>&#x0223C;</mo>",
    r"<mi>(&#x000[0-9A-F]{2};)</mi>": r'<mi mathvariant="normal">\1</mi>',          # one letter of \mathrm, upright
    r"<mo>(&#x0007C;|&#x02016;|\|)</mo>": r'<mo lspace="0" rspace="0" stretchy="false">\1</mo>',
    r"<mi>(log|ln|exp|sin|cos|tan|tanh)</mi>(?!<mo)": r'<mo form="prefix" lspace="0" rspace="0.167em">\1</mo>',
}
LEFT_OVER = re.compile(r">\\[A-Za-z]|<mi>&(amp;)?</mi>")


def mathml(latex: str, block: bool = False) -> str:
    """`<math>` for a formula; ValueError where a part of it is not understood, rather than a wrong formula."""
    source = latex.strip()
    for theirs, ours in SAME.items():
        source = re.sub(re.escape(theirs) + r"(?![A-Za-z])", lambda _, ours=ours: ours, source)
    try:
        text = convert(source, display="block" if block else "inline")
    except Exception as error:                     # the converter raises a dozen kinds, none with a common ancestor
        raise ValueError(f"not LaTeX that can be shown: {latex}") from error
    if LEFT_OVER.search(text):
        raise ValueError(f"not LaTeX that can be shown: {latex}")
    for theirs, ours in MENDED.items():
        text = re.sub(theirs, ours, text)
    return text
