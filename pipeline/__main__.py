"""`python -m pipeline`."""

from pipeline import conv2d

if __name__ == "__main__":
    conv2d()
