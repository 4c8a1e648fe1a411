"""A site in Flower. Its settings are the file that the site's own operator names in ``--node-config``."""

from __future__ import annotations

import logging

from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from uniseg_nets.federated.site import Site, load_site

__all__ = ["app"]

app = ClientApp()


def _site(context: Context) -> Site:
    logging.getLogger("uniseg_nets").setLevel(logging.INFO)
    return Site(load_site(str(context.node_config["site"])))


def _reply(message: Message, site: Site, figures: dict[str, float], **more: ArrayRecord) -> Message:
    told = {"metrics": MetricRecord(dict(figures)), "site": ConfigRecord({"name": site.settings.name})}
    return Message(content=RecordDict(told | more), reply_to=message)


@app.train()
def train(message: Message, context: Context) -> Message:
    """One round of local training."""
    site, config = _site(context), message.content["config"]
    received = message.content["arrays"].to_torch_state_dict()
    weights, figures = site.train(received, int(config["server-round"]), int(config["rounds"]))
    return _reply(message, site, figures, arrays=ArrayRecord(weights))


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """The federation's weights on the site's validation cases."""
    site = _site(context)
    return _reply(message, site, site.evaluate(message.content["arrays"].to_torch_state_dict()))
