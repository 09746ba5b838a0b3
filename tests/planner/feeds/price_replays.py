"""Azure, AWS, Google and gpuhunt: answers in their published formats, and the prices in them."""

from __future__ import annotations

import io
import json
import math
import zipfile
from typing import Any
from urllib.parse import parse_qs

from tests.planner.feeds.replay import AT, HOUR, Replay, dumped
from tests.planner.feeds.source_server import Asked

# ------------------------------------------------------------------ Azure

AZURE_USD_PER_H = {
    "Standard_ND96ams_A100_v4": 32.77,
    "Standard_ND96amsr_A100_v4": 32.77,
    "Standard_ND96is_H100_v5": 88.488,
    "Standard_ND96is_flex_H100_v5": 88.488,
    "Standard_ND96is_noIB_H100_v5": 88.488,
    "Standard_ND96isf_H100_v5": 88.488,
    "Standard_ND96isr_H100_v5": 98.32,
    "Standard_ND96isrf_H100_v5": 98.32,
}


def azure_meter(name: str, price: float, **changed: Any) -> dict[str, Any]:
    words = name.removeprefix("Standard_").replace("_", " ")
    return {
        "currencyCode": "USD", "tierMinimumUnits": 0.0, "retailPrice": price, "unitPrice": price,
        "armRegionName": "eastus2", "location": "US East 2",
        "effectiveStartDate": "2025-06-01T00:00:00Z", "meterId": "m", "meterName": words,
        "productId": "DZH318Z0BQPS", "skuId": "DZH318Z0BQPS/00TG",
        "productName": "Virtual Machines ND Series", "skuName": words,
        "serviceName": "Virtual Machines", "serviceId": "DZH313Z7MMC8", "serviceFamily": "Compute",
        "unitOfMeasure": "1 Hour", "type": "Consumption", "isPrimaryMeterRegion": True,
        "armSkuName": name, **changed,
    }  # fmt: skip


def azure() -> Replay:
    meters, truth = [], {}
    for name, price in AZURE_USD_PER_H.items():
        words = name.removeprefix("Standard_").replace("_", " ")
        offer = f"azure:eastus2/azure_{name}"
        truth[f"{offer} ondemand_usd_per_h"] = 1.02 * price
        truth[f"{offer} spot_usd_per_h"] = 0.4 * price
        spot = {"skuName": f"{words} Spot", "meterName": f"{words} Spot"}
        meters += [
            azure_meter(name, 1.02 * price),
            azure_meter(name, 0.4 * price, **spot),
            azure_meter(name, 2.0 * price, productName="Virtual Machines ND Series Windows"),
            azure_meter(name, 0.2 * price, skuName=f"{words} Low Priority"),
            azure_meter(name, 0.9 * price, type="DevTestConsumption"),
            azure_meter(name, 1.3 * price, isPrimaryMeterRegion=False),
            azure_meter(name, 1.1 * price, effectiveStartDate="2027-01-01T00:00:00Z"),
        ]
    reserved, hours = "Standard_ND96isr_H100_v5", {"1 Year": 8_760.0, "3 Years": 26_280.0}
    for term, share, column in (("1 Year", 0.7, "commit_1y"), ("3 Years", 0.45, "commit_3y")):
        usd_per_h = share * AZURE_USD_PER_H[reserved]
        truth[f"azure:eastus2/azure_{reserved} {column}_usd_per_h"] = usd_per_h
        meters.append(azure_meter(reserved, usd_per_h * hours[term], type="Reservation",
                                  reservationTerm=term))  # fmt: skip
    pages = [meters[start : start + 25] for start in range(0, len(meters), 25)]
    documents = {}
    for number, page in enumerate(pages):
        more = number + 1 < len(pages)
        documents[str(number)] = dumped({
            "BillingCurrency": "USD", "CustomerEntityId": "Default", "CustomerEntityType": "Retail",
            "Items": page, "NextPageLink": f"@URL@?$skip={number + 1}" if more else None,
            "Count": len(page),
        })  # fmt: skip
    return Replay("azure-retail", documents, lambda asked: asked.query.get("$skip", "0"), truth, {})


# ------------------------------------------------------------------ AWS

AWS_USD_PER_H = {
    "us-east-1": {"g6.xlarge": 0.8048, "g6.2xlarge": 0.9776, "g6.4xlarge": 1.3232,
                  "g6.8xlarge": 2.0144, "g6.16xlarge": 3.3968, "g6.12xlarge": 4.6016,
                  "g6.24xlarge": 6.6752, "g6.48xlarge": 13.3504, "p4de.24xlarge": 27.447,
                  "p5.4xlarge": 6.88, "p5.48xlarge": 55.04},
    "eu-central-1": {"g6.xlarge": 1.0064, "g6.2xlarge": 1.2225, "g6.4xlarge": 1.6547,
                     "g6.8xlarge": 2.519, "g6.16xlarge": 4.2477, "g6.12xlarge": 5.7543,
                     "g6.24xlarge": 8.3473, "g6.48xlarge": 16.6946, "p4de.24xlarge": 34.2912},
}  # fmt: skip
NO_UPFRONT = {"OfferingClass": "standard", "PurchaseOption": "No Upfront"}


def aws_term(sku: str, code: str, usd: str, fee: str | None = None, **attributes: str) -> Any:
    name = f"{sku}.{code}"
    dimensions = {f"{name}.A": {"rateCode": f"{name}.A", "unit": "Hrs", "description": "per hour",
                                "beginRange": "0", "endRange": "Inf", "appliesTo": [],
                                "pricePerUnit": {"USD": usd}}}  # fmt: skip
    if fee is not None:
        dimensions[f"{name}.B"] = {
            "rateCode": f"{name}.B", "unit": "Quantity", "description": "Upfront Fee",
            "appliesTo": [], "pricePerUnit": {"USD": fee},
        }  # fmt: skip
    return {"sku": sku, "offerTermCode": code, "effectiveDate": "2026-11-01T00:00:00Z",
            "priceDimensions": dimensions, "termAttributes": attributes}  # fmt: skip


def aws_entry(name: str, region: str, usd: float, **changed: str) -> dict[str, Any]:
    sku = f"{name}-{region}".upper()
    attributes = {
        "instanceType": name, "regionCode": region, "location": region, "operatingSystem": "Linux",
        "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used", "vcpu": "192",
        "marketoption": "OnDemand", "locationType": "AWS Region", "operation": "RunInstances",
        **changed,
    }  # fmt: skip
    hours = {"1yr": 8_760, "3yr": 26_280}
    reserved = [
        aws_term(sku, "ONE", f"{0.65 * usd:.10f}", LeaseContractLength="1yr", **NO_UPFRONT),
        aws_term(sku, "THREE", f"{0.45 * usd:.10f}", LeaseContractLength="3yr", **NO_UPFRONT),
        aws_term(sku, "ALL", "0.0000000000", f"{0.6 * usd * hours['1yr']:.10f}",
                 LeaseContractLength="1yr", OfferingClass="standard",
                 PurchaseOption="All Upfront"),
    ]  # fmt: skip
    return {
        "product": {"productFamily": "Compute Instance", "sku": sku, "attributes": attributes},
        "serviceCode": "AmazonEC2",
        "terms": {
            "OnDemand": {f"{sku}.JRT": aws_term(sku, "JRT", f"{usd:.10f}")},
            "Reserved": {f"{sku}.{term['offerTermCode']}": term for term in reserved},
        },
        "version": "20261120000000",
        "publicationDate": "2026-11-20T00:00:00Z",
    }


def _aws_product(asked: Asked) -> str:
    request = json.loads(asked.body)
    fields = {part["Field"]: part["Value"] for part in request["Filters"]}
    assert request["ServiceCode"] == "AmazonEC2"
    assert asked.headers["x-amz-target"] == "AWSPriceListService.GetProducts"
    return f"{fields['instanceType']}/{request.get('NextToken', '1')}"


def aws_prices() -> Replay:
    documents: dict[str, bytes] = {}
    truth: dict[str, float] = {}
    for name in AWS_USD_PER_H["us-east-1"]:
        entries = [
            aws_entry(name, region, usd[name])
            for region, usd in AWS_USD_PER_H.items()
            if name in usd
        ]
        entries.append(aws_entry(name, "ap-south-1", 1.3 * AWS_USD_PER_H["us-east-1"][name]))
        for number, entry in enumerate(entries, start=1):
            page: dict[str, Any] = {"FormatVersion": "aws_v1", "PriceList": [json.dumps(entry)]}
            if number < len(entries):
                page["NextToken"] = str(number + 1)
            documents[f"{name}/{number}"] = dumped(page)
    for region, machines in AWS_USD_PER_H.items():
        for name, usd in machines.items():
            offer = f"aws:{region}/aws_{name}"
            truth[f"{offer} ondemand_usd_per_h"] = usd
            truth[f"{offer} commit_1y_usd_per_h"] = round(0.65 * usd, 10)
            truth[f"{offer} commit_3y_usd_per_h"] = round(0.45 * usd, 10)
    return Replay(
        "aws-prices", documents, _aws_product, truth, {}, "endpoint_url",
        "application/x-amz-json-1.1",
    )  # fmt: skip


def spot_xml(rows: list[dict[str, str]], token: str) -> bytes:
    items = "".join(
        "<item>" + "".join(f"<{tag}>{text}</{tag}>" for tag, text in row.items()) + "</item>"
        for row in rows
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<DescribeSpotPriceHistoryResponse '
        'xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId>'
        f"<spotPriceHistorySet>{items}</spotPriceHistorySet><nextToken>{token}</nextToken>"
        "</DescribeSpotPriceHistoryResponse>"
    ).encode()


def _spot_page(asked: Asked) -> str:
    form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
    assert form["Action"] == "DescribeSpotPriceHistory"
    region = asked.headers["authorization"].split("/")[2]
    return f"{region}/{form.get('NextToken', '1')}"


def aws_spot() -> Replay:
    """Two zones; in each the price changes half-way through the window of 168 h."""
    documents: dict[str, bytes] = {}
    truth: dict[str, float] = {}
    start = AT - 168 * HOUR
    for region, machines in AWS_USD_PER_H.items():
        rows: list[dict[str, str]] = []
        for name, usd in machines.items():
            for zone, factor in (("a", 0.3), ("b", 0.5)):
                for when, share in ((start - 5 * HOUR, 1.0), (start + 84 * HOUR, 1.2)):
                    rows.append({
                        "instanceType": name, "productDescription": "Linux/UNIX",
                        "spotPrice": f"{usd * factor * share:.6f}",
                        "timestamp": when.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                        "availabilityZone": f"{region}{zone}",
                    })  # fmt: skip
            means = [
                0.5 * (round(usd * factor, 6) + round(usd * factor * 1.2, 6))
                for factor in (0.3, 0.5)
            ]
            truth[f"aws:{region}/aws_{name} spot_usd_per_h"] = math.fsum(means) / 2.0
        half = len(rows) // 2
        documents[f"{region}/1"] = spot_xml(rows[:half], "2")
        documents[f"{region}/2"] = spot_xml(rows[half:], "")
    return Replay(
        "aws-spot", documents, _spot_page, truth, {}, "endpoint_url", "text/xml;charset=UTF-8"
    )


# ------------------------------------------------------------------ Google

MEGA_CARD_USD_PER_H = 12.0
GCP_USD = {
    # words of the SKU, group, unit, USD per unit in us-central1
    "A3 core": ("A3 Instance Core", "A3 Cpu", "CPU", "h", 0.025498),
    "A3 memory": ("A3 Instance Ram", "A3 Ram", "RAM", "GiBy.h", 0.0022203),
    "A3Plus core": ("A3Plus Instance Core", "A3Plus Cpu", "CPU", "h", 0.0299),
    "A3Plus memory": ("A3Plus Instance Ram", "A3Plus Ram", "RAM", "GiBy.h", 0.00281),
    "A2 core": ("A2 Instance Core", "A2 Cpu", "CPU", "h", 0.031611),
    "A2 memory": ("A2 Instance Ram", "A2 Ram", "RAM", "GiBy.h", 0.004237),
    "G2 core": ("G2 Instance Core", "G2 Cpu", "CPU", "h", 0.024988),
    "G2 memory": ("G2 Instance Ram", "G2 Ram", "RAM", "GiBy.h", 0.002927),
    "h100": ("Nvidia H100 80GB GPU", "", "GPU", "h", 9.79655),
    "mega": ("Nvidia H100 80GB Mega GPU", "", "GPU", "h", MEGA_CARD_USD_PER_H),
    "a100": ("Nvidia Tesla A100 80GB GPU", "", "GPU", "h", 3.928082),
    "l4": ("Nvidia L4 GPU", "", "GPU", "h", 0.56004),
    "ssd": ("SSD backed Local Storage", "", "LocalSSD", "GiBy.mo", 0.08),
}
GCP_REGIONS = {"us-central1": ("Americas", 1.0), "europe-west4": ("Netherlands", 1.1)}
GCP_MARKETS = {"OnDemand": 1.0, "Preemptible": 0.5, "Commit1Yr": 0.7, "Commit3Yr": 0.45}
GCP_COLUMNS = {"OnDemand": "ondemand", "Preemptible": "spot", "Commit1Yr": "commit_1y",
               "Commit3Yr": "commit_3y"}  # fmt: skip
GCP_SHAPES = {
    # machine type: part -> amount
    **{f"g2-standard-{cores}": {"G2 core": cores, "G2 memory": 4 * cores, "l4": cards}
       for cores, cards in ((4, 1), (8, 1), (12, 1), (16, 1), (24, 2), (32, 1), (48, 4), (96, 8))},
    **{f"a2-ultragpu-{n}g": {"A2 core": 12 * n, "A2 memory": 170 * n, "a100": n,
                             "ssd": 375 * n / 730} for n in (1, 2, 4, 8)},
    **{f"a3-highgpu-{n}g": {"A3 core": 26 * n, "A3 memory": 234 * n, "h100": n,
                            "ssd": 750 * n / 730} for n in (1, 2, 4, 8)},
    "a3-megagpu-8g": {"A3Plus core": 208, "A3Plus memory": 1872, "mega": 8, "ssd": 6000 / 730},
}  # fmt: skip


def gcp_words(part: str, usage: str, place: str) -> str:
    plain, commitment, group, *_ = GCP_USD[part]
    years = "1 Year" if usage == "Commit1Yr" else "3 Years"
    if usage.startswith("Commit"):
        if part == "ssd":
            return f"Commitment v1: Local SSD in {place} for {years}"
        if group == "GPU":
            return f"Commitment v1: {plain} running in {place} for {years}"
        return f"Commitment v1: {commitment} in {place} for {years}"
    if part == "ssd":
        return plain if usage == "OnDemand" else f"{plain} attached to Spot Preemptible VMs"
    if usage == "Preemptible" and group == "GPU":
        return f"{plain} attached to Spot Preemptible VMs running in {place}"
    return f"{'Spot Preemptible ' if usage == 'Preemptible' else ''}{plain} running in {place}"


def gcp_sku(words: str, group: str, usage: str, regions: list[str], unit: str, usd: float) -> Any:
    nanos = round(usd * 1e9)
    return {
        "name": "services/6F81-5844-456A/skus/0000", "skuId": "0000", "description": words,
        "category": {"serviceDisplayName": "Compute Engine", "resourceGroup": group,
                     "resourceFamily": "Storage" if group == "LocalSSD" else "Compute",
                     "usageType": usage},
        "serviceRegions": regions, "serviceProviderName": "Google",
        "pricingInfo": [{"summary": "", "currencyConversionRate": 1,
            "effectiveTime": "2026-11-24T00:00:00Z",
            "pricingExpression": {"usageUnit": unit, "displayQuantity": 1, "tieredRates": [
                {"startUsageAmount": 0, "unitPrice": {"currencyCode": "USD",
                 "units": str(nanos // 10**9), "nanos": nanos % 10**9}}]}}],
    }  # fmt: skip


def gcp_part_usd(part: str, region: str, usage: str) -> float | None:
    """USD per unit as served; no committed local SSD in europe-west4, no mega in us-central1."""
    if part == "ssd" and region == "europe-west4" and usage.startswith("Commit"):
        return None
    if region == "us-central1" and part in {"A3Plus core", "A3Plus memory", "mega"}:
        return None
    return round(GCP_USD[part][4] * GCP_REGIONS[region][1] * GCP_MARKETS[usage], 9)


def gcp() -> Replay:
    skus = [
        gcp_sku("Reserved A3 Instance Core in Americas", "CPU", "OnDemand", ["us-central1"],
                "h", 1),
        gcp_sku("A3 Sole Tenancy Instance Core running in Americas", "CPU", "OnDemand",
                ["us-central1"], "h", 2),
        gcp_sku("Network Egress", "Egress", "OnDemand", ["global"], "GiBy", 0.1),
    ]  # fmt: skip
    for part, (_, _, group, unit, _) in GCP_USD.items():
        for region, (place, _) in GCP_REGIONS.items():
            for usage in GCP_MARKETS:
                usd = gcp_part_usd(part, region, usage)
                if usd is not None:
                    words = gcp_words(part, usage, place)
                    skus.append(gcp_sku(words, group, usage, [region], unit, usd))
    truth = {}
    for region in GCP_REGIONS:
        for name, amounts in GCP_SHAPES.items():
            for usage, column in GCP_COLUMNS.items():
                prices = [(n, gcp_part_usd(part, region, usage)) for part, n in amounts.items()]
                if all(usd is not None for _, usd in prices):
                    total = math.fsum(n * usd for n, usd in prices if usd is not None)
                    truth[f"gcp:{region}/gcp_{name} {column}_usd_per_h"] = total
    half = len(skus) // 2
    documents = {"1": dumped({"skus": skus[:half], "nextPageToken": "2"}),
                 "2": dumped({"skus": skus[half:], "nextPageToken": ""})}  # fmt: skip
    return Replay(
        "gcp-billing", documents, lambda asked: asked.query.get("pageToken", "1"), truth, {}
    )


# ------------------------------------------------------------------ gpuhunt

GPUHUNT_HEADER = ("instance_name,location,price,cpu,memory,gpu_count,gpu_name,gpu_memory,spot,"
                  "disk_size,gpu_vendor,flags,cpu_arch,provider_data")  # fmt: skip


def gpuhunt_row(name: str, place: str, price: str, cards: int, spot: bool, data: str = "{}") -> str:
    return f"{name},{place},{price},16,200.0,{cards},H100,80.0,{spot},,nvidia,,x86,{data}"


def packed(name: str, body: bytes) -> bytes:
    if name != "nebius.csv":
        return body
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, body)
    return file.getvalue()


def gpuhunt() -> Replay:
    one, eight = "gpu-h100-sxm_1gpu-16vcpu-200gb", "gpu-h100-sxm_8gpu-128vcpu-1600gb"
    rows = [
        GPUHUNT_HEADER,
        gpuhunt_row(one, "eu-north1", "3.05", 1, False),
        gpuhunt_row(one, "eu-north1", "1.3", 1, True),
        gpuhunt_row(eight, "eu-north1", "24.4", 8, False),
        gpuhunt_row(eight, "eu-north1", "10.4", 8, True),
        gpuhunt_row(one, "eu-west1", "9.9", 1, False),
        gpuhunt_row("cpu-d3_4vcpu-16gb", "eu-north1", "0.1", 0, False),
    ]
    place = "nebius:eu-north1/nebius"
    truth = {
        f"{place}_{one} ondemand_usd_per_h": 3.05,
        f"{place}_{one} spot_usd_per_h": 1.3,
        f"{place}_{eight} ondemand_usd_per_h": 24.4,
        f"{place}_{eight} spot_usd_per_h": 10.4,
    }
    documents = {"version": b"20261124\n", "nebius.csv": "\r\n".join(rows).encode() + b"\r\n"}

    def find(asked: Asked) -> str:
        last = asked.path.rsplit("/", 1)[-1]
        if last == "version":
            return last
        return "nebius.csv" if asked.path.endswith("/20261124/catalog.zip") else asked.path

    return Replay(
        "gpuhunt", documents, find, truth, {"provider": "nebius"}, "url",
        "application/octet-stream", packed,
    )  # fmt: skip
