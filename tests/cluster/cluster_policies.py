"""What the manifests have to be, one policy per line of what was asked for.

Schemas pass wrong values and know no custom kinds; these look at the values themselves.
"""

from __future__ import annotations

# Each module registers its policies when it is imported.
import cluster_agent as cluster_agent
import cluster_held as cluster_held
import cluster_jobs as cluster_jobs
import cluster_pods as cluster_pods
from cluster_registry import POLICIES, broken

__all__ = ["POLICIES", "broken"]
