"""Version of the package: that of the tag it was built from."""

try:
    from splitnest._tag import VERSION as __version__  # written by the build
except ImportError:  # sources that were never installed
    __version__ = "0.1.0"
