"""Readers, one module per source; `READERS` is the list that ``feeds.toml`` chooses from."""

from planner.feeds.feed import Feed
from planner.feeds.readers.aws_prices import AwsPrices
from planner.feeds.readers.aws_spot import AwsSpot
from planner.feeds.readers.azure_retail import AzureRetail
from planner.feeds.readers.electricity_maps import ElectricityMaps
from planner.feeds.readers.gcp_billing import GcpBilling
from planner.feeds.readers.genai_prices import GenaiPrices
from planner.feeds.readers.gpuhunt import Gpuhunt
from planner.feeds.readers.own_tables import OwnTables
from planner.feeds.readers.prometheus_demand import PrometheusDemand
from planner.feeds.readers.prometheus_lengths import PrometheusLengths

READERS: dict[str, type[Feed]] = {
    "tables": OwnTables,
    "azure-retail": AzureRetail,
    "aws-prices": AwsPrices,
    "aws-spot": AwsSpot,
    "gcp-billing": GcpBilling,
    "gpuhunt": Gpuhunt,
    "genai-prices": GenaiPrices,
    "electricity-maps": ElectricityMaps,
    "prometheus-demand": PrometheusDemand,
    "prometheus-lengths": PrometheusLengths,
}

__all__ = ["READERS"]
