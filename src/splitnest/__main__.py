"""``python -m splitnest``."""

from splitnest.cli import main

if __name__ == "__main__":
    main()
