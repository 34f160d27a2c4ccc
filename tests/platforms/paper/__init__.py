"""A fourth platform in one folder: a notice board on paper. It proves that platforms/README.md is true."""
