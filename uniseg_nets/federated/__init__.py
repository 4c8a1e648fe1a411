"""Federated training: several hospitals train one network, and no scan leaves a hospital.

The one rule: what leaves a site is chosen by the site, by tensor name. ``site`` trains and evaluates by MONAI's client,
``client_app`` and ``server_app`` carry the weights by Flower, the only files that need it.
"""

from uniseg_nets.federated.exchange import PARTS, Travelling
from uniseg_nets.federated.site import Site, SiteSettings, load_site

__all__ = ["PARTS", "Site", "SiteSettings", "Travelling", "load_site"]
