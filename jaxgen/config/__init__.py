"""Configuration: one frozen dataclass a topic, the only place where a default lives.

A field has its help text and its rule (`fields`), so that the command line, flag files and the Python interface refuse
the same values with the same words. Topics are in `training`, `protocols`, `oversampling`, `longtail`, `mislabelled`
and `comparison`; `commands` has a spec for each command, made of topics, that remembers which flags were given.
`flags` parses and writes specs, `sweep` turns one that has lists into its settings.

A new flag is a field of a topic; a new topic is a dataclass, and a field of the commands that have it.
"""

# `x as x`: names for other modules to import from here.
from jaxgen.config.commands import BenchSpec as BenchSpec
from jaxgen.config.commands import CscoreSpec as CscoreSpec
from jaxgen.config.commands import LnrSpec as LnrSpec
from jaxgen.config.commands import MislabelledSpec as MislabelledSpec
from jaxgen.config.commands import OversamplingSpec as OversamplingSpec
from jaxgen.config.commands import RandomizationSpec as RandomizationSpec
from jaxgen.config.commands import ReportSpec as ReportSpec
from jaxgen.config.commands import RobustnessSpec as RobustnessSpec
from jaxgen.config.comparison import CompareSpec as CompareSpec
from jaxgen.config.comparison import ComparisonSpec as ComparisonSpec
from jaxgen.config.fields import AUTO as AUTO
from jaxgen.config.fields import flag_fields as flag_fields
from jaxgen.config.fields import flag_values as flag_values
from jaxgen.config.fields import format_value as format_value
from jaxgen.config.fields import spec_from_values as spec_from_values
from jaxgen.config.longtail import FlipSpec as FlipSpec
from jaxgen.config.longtail import HeadSpec as HeadSpec
from jaxgen.config.longtail import TabularSpec as TabularSpec
from jaxgen.config.longtail import TailSpec as TailSpec
from jaxgen.config.mislabelled import SearchSpec as SearchSpec
from jaxgen.config.oversampling import CopiesSpec as CopiesSpec
from jaxgen.config.protocols import CorruptionSpec as CorruptionSpec
from jaxgen.config.protocols import FitSpec as FitSpec
from jaxgen.config.protocols import InfluenceSpec as InfluenceSpec
from jaxgen.config.protocols import LabelNoiseSpec as LabelNoiseSpec
from jaxgen.config.protocols import NoiseSpec as NoiseSpec
from jaxgen.config.protocols import SubsetSpec as SubsetSpec
from jaxgen.config.protocols import TrackSpec as TrackSpec
from jaxgen.config.rules import Spec as Spec
from jaxgen.config.training import AugmentationSpec as AugmentationSpec
from jaxgen.config.training import ComputeSpec as ComputeSpec
from jaxgen.config.training import DataSpec as DataSpec
from jaxgen.config.training import ModelSpec as ModelSpec
from jaxgen.config.training import RegularizationSpec as RegularizationSpec
from jaxgen.config.training import StoppingSpec as StoppingSpec
from jaxgen.config.training import TrainSpec as TrainSpec
