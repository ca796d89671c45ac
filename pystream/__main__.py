"""``python -m pystream``: the command ``pystream``, also where it is in no path."""

from pystream.cli.main import main

if __name__ == "__main__":
    main()
