"""`python -m predictor` is the command line."""

from predictor.cli import main

if __name__ == "__main__":
    main(prog_name="python -m predictor")
