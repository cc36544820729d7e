//! Reads the vectors of `vectors/`, which `vectors/make.py` writes with other libraries. Tests only.
