"""The version of the package; a test keeps it equal to the version of the crates."""

version = "0.1.0"
version_tuple = (0, 1, 0)
commit_id: str | None = None
