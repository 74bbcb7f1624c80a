"""The version of the package; a test keeps it equal to the version of the crates."""

__version__ = "0.1.0"
__version_tuple__ = (0, 1, 0)
__commit_id__: str | None = None
