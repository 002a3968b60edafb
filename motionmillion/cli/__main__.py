"""`python -m motionmillion.cli`."""

from motionmillion.cli.app import main

if __name__ == "__main__":
    main()
