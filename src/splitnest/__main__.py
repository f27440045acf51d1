"""``python -m splitnest``."""

from splitnest.cli.app import main

if __name__ == "__main__":
    main()
