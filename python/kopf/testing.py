"""What tests of operators need: an operator in the background, and a cluster for it.

Example:
    ```python
    from kopf.testing import DevCluster, KopfRunner

    def test_operator():
        with DevCluster() as cluster, KopfRunner(["run", "-A", "handlers.py"], env=cluster.env) as runner:
            ...  # create an object, and wait for its status
        assert runner.exit_code == 0
    ```
"""

from kopf._devcluster import DevCluster
from kopf._runner import KopfRunner

__all__ = ["DevCluster", "KopfRunner"]
