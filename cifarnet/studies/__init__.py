"""What reports state: their settings, numbers, figures and claims, read from a YAML file each."""

from cifarnet.studies.figures import read_metrics
from cifarnet.studies.spec import Study, read_studies, read_study

__all__ = ["Study", "read_metrics", "read_studies", "read_study"]
