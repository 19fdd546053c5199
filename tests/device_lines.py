"""Which lines of each approach's draw path run on the second device: a table, and the lines that did not.

    python tests/device_lines.py [APPROACH ...]
"""

import sys

from laws.test_device import answered_elsewhere, draw_path
from lines_run import lines_of_functions

from nfdlab import approaches, store


def main() -> None:
    for approach in sys.argv[1:] or approaches.names():
        ran = set().union(*(answered_elsewhere(*pair)[1] for pair in store.shipped() if pair[0] == approach))
        for file in draw_path(approach):
            lines = lines_of_functions(file)
            missing = sorted(line for _, line in lines - ran)
            if lines:
                print(f"{approach:20} {'/'.join(file.parts[-2:]):36} {len(lines) - len(missing):4} of {len(lines):4}"
                      f"   not run: {', '.join(map(str, missing)) or 'none'}", flush=True)


if __name__ == "__main__":
    main()
