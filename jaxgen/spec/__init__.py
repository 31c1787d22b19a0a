"""What can be asked for: one frozen dataclass a topic, the only place where a default lives.

A field carries its help text and its rule, so that the command line, the Python interface and the flag files refuse
the same values with the same words. `jaxgen.flags` turns the leaves into flags; `jaxgen.sweep` says how a field is
declared, and turns a spec that holds lists into its settings. Topics are in `training` and `protocols`, the specs of
whole commands in `jobs`.
"""

# `x as x`: what readers of a spec use of its fields' module they find here too.
from jaxgen.spec.comparison import CompareSpec as CompareSpec
from jaxgen.spec.comparison import ComparisonSpec as ComparisonSpec
from jaxgen.spec.jobs import BenchSpec as BenchSpec
from jaxgen.spec.jobs import CscoreSpec as CscoreSpec
from jaxgen.spec.jobs import LnrSpec as LnrSpec
from jaxgen.spec.jobs import MislabelledSpec as MislabelledSpec
from jaxgen.spec.jobs import OversamplingSpec as OversamplingSpec
from jaxgen.spec.jobs import RandomizationSpec as RandomizationSpec
from jaxgen.spec.jobs import ReportSpec as ReportSpec
from jaxgen.spec.jobs import RobustnessSpec as RobustnessSpec
from jaxgen.spec.longtail import FlipSpec as FlipSpec
from jaxgen.spec.longtail import HeadSpec as HeadSpec
from jaxgen.spec.longtail import TabularSpec as TabularSpec
from jaxgen.spec.longtail import TailSpec as TailSpec
from jaxgen.spec.mislabelled import SearchSpec as SearchSpec
from jaxgen.spec.protocols import CopiesSpec as CopiesSpec
from jaxgen.spec.protocols import CorruptionSpec as CorruptionSpec
from jaxgen.spec.protocols import FitSpec as FitSpec
from jaxgen.spec.protocols import InfluenceSpec as InfluenceSpec
from jaxgen.spec.protocols import LabelNoiseSpec as LabelNoiseSpec
from jaxgen.spec.protocols import NoiseSpec as NoiseSpec
from jaxgen.spec.protocols import SubsetSpec as SubsetSpec
from jaxgen.spec.protocols import TrackSpec as TrackSpec
from jaxgen.spec.rules import Spec as Spec
from jaxgen.spec.training import AugmentationSpec as AugmentationSpec
from jaxgen.spec.training import ComputeSpec as ComputeSpec
from jaxgen.spec.training import DataSpec as DataSpec
from jaxgen.spec.training import ModelSpec as ModelSpec
from jaxgen.spec.training import RegularizationSpec as RegularizationSpec
from jaxgen.spec.training import StoppingSpec as StoppingSpec
from jaxgen.spec.training import TrainSpec as TrainSpec
from jaxgen.sweep import AUTO as AUTO
from jaxgen.sweep import format_value as format_value
from jaxgen.sweep import from_values as from_values
from jaxgen.sweep import leaves as leaves
from jaxgen.sweep import values as values
