"""Datasets, loading in batches that resumes exactly, and feature standardisation."""

from tinygrad_bn.data.dataset import ArrayDataset, Dataset, Subset, random_split
from tinygrad_bn.data.digits import ImageDataset, mnist
from tinygrad_bn.data.housing import HousingDataset, california_housing
from tinygrad_bn.data.loader import DataLoader, default_collate
from tinygrad_bn.data.standardizer import Standardizer

__all__ = [
    "ArrayDataset",
    "DataLoader",
    "Dataset",
    "HousingDataset",
    "ImageDataset",
    "Standardizer",
    "Subset",
    "california_housing",
    "default_collate",
    "mnist",
    "random_split",
]
