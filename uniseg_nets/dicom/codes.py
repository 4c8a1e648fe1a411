"""SNOMED CT codes for class names, from pydicom's dictionary of DICOM context groups."""

from __future__ import annotations

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

__all__ = ["category_and_type"]

# Words in class names -> keywords of the dictionary. The first matching word is used.
_FINDINGS = {"tumour": "Neoplasm", "tumor": "Neoplasm", "lesion": "Lesion", "oedema": "Edema", "edema": "Edema"}
_STRUCTURES = {
    "liver": "Liver",
    "kidney": "Kidney",
    "spleen": "Spleen",
    "pancreas": "Pancreas",
    "prostate": "Prostate",
    "vertebrae": "Vertebra",
    "vessel": "BloodVessel",
    "hippocampus": "Hippocampus",
    "aorta": "Aorta",
}


def category_and_type(name: str) -> tuple[Code, Code]:
    """Category and type of the segmented property; ``Tissue`` for unknown class names."""
    words = name.lower().replace("_", " ").split()
    for known, category in ((_FINDINGS, "MorphologicallyAbnormalStructure"), (_STRUCTURES, "AnatomicalStructure")):
        for word in words:
            if word in known and known[word] in dir(codes.SCT):
                return getattr(codes.SCT, category), getattr(codes.SCT, known[word])
    return codes.SCT.Tissue, codes.SCT.Tissue
