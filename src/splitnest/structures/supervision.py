"""Import of the optional package supervision."""

from types import ModuleType

from splitnest.errors import UsageError


def import_supervision() -> ModuleType:
    """Import the optional package supervision.

    Raises:
        UsageError: supervision is not installed.
    """
    try:
        import supervision
    except ImportError as error:
        raise UsageError(
            "to_supervision() needs the package supervision, which is not installed. Run pip install 'splitnest[viz]'."
        ) from error
    return supervision
