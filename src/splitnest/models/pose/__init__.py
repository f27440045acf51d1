"""Human pose estimation, top-down: one person a crop."""
