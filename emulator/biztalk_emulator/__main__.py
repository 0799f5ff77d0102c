"""``python -m biztalk_emulator``."""

import sys

from biztalk_emulator.cli import main

if __name__ == "__main__":
    sys.exit(main())
