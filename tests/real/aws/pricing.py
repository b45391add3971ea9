"""Pricing's GetProducts for EC2 instances, which moto has not: on-demand Linux prices of one region."""

import base64
import json

from .prices import Prices

PAGE = 100
ON_DEMAND = "JRTCKXETXF"
HOURLY = "6YS6EN2CT7"


def answer(action: str, body: bytes, prices: Prices) -> tuple[int, dict]:
    if action != "GetProducts":
        return 400, {"__type": "UnknownOperationException", "message": f"{action} is not simulated here"}
    request = json.loads(body or b"{}")
    if request.get("ServiceCode") != "AmazonEC2":
        return 400, {"__type": "InvalidParameterException", "message": "only AmazonEC2 is simulated here"}
    filters = {f["Field"]: f["Value"] for f in request.get("Filters", [])}
    products = [product(kind, prices) for kind in sorted(prices.rows)]
    products = [p for p in products if p and matches(p["product"]["attributes"], filters)]
    start = int(base64.b64decode(request["NextToken"])) if request.get("NextToken") else 0
    end = start + min(PAGE, int(request.get("MaxResults") or PAGE))
    result = {"FormatVersion": "aws_v1", "PriceList": [json.dumps(p) for p in products[start:end]]}
    if end < len(products):
        result["NextToken"] = base64.b64encode(str(end).encode()).decode()
    return 200, result


def matches(attributes: dict, filters: dict) -> bool:
    return all(attributes.get(name) == value for name, value in filters.items() if name != "ServiceCode")


def product(kind: str, prices: Prices) -> dict | None:
    """As the price list has it, with the attributes that callers filter by."""
    price, facts = prices.on_demand(kind), prices.facts.get(kind)
    if price is None or facts is None:
        return None
    sku = base64.b32encode(kind.encode()).decode().rstrip("=")[:16]
    attributes = {
        "servicecode": "AmazonEC2",
        "servicename": "Amazon Elastic Compute Cloud",
        "instanceType": kind,
        "vcpu": facts["vcpu"],
        "memory": f"{int(facts['memory_mib']) / 1024:g} GiB",
        "regionCode": prices.region,
        "location": "US East (N. Virginia)",
        "locationType": "AWS Region",
        "operatingSystem": "Linux",
        "preInstalledSw": "NA",
        "licenseModel": "No License required",
        "tenancy": "Shared",
        "capacitystatus": "Used",
        "marketoption": "OnDemand",
        "operation": "RunInstances",
        "usagetype": f"BoxUsage:{kind}",
    }
    term, rate = f"{sku}.{ON_DEMAND}", f"{sku}.{ON_DEMAND}.{HOURLY}"
    dimension = {
        "unit": "Hrs",
        "endRange": "Inf",
        "beginRange": "0",
        "rateCode": rate,
        "appliesTo": [],
        "description": f"${price:.4f} per On Demand Linux {kind} Instance Hour",
        "pricePerUnit": {"USD": f"{price:.10f}"},
    }
    terms = {
        "OnDemand": {
            term: {
                "sku": sku,
                "offerTermCode": ON_DEMAND,
                "effectiveDate": "2026-07-01T00:00:00Z",
                "termAttributes": {},
                "priceDimensions": {rate: dimension},
            }
        }
    }
    family = {"productFamily": "Compute Instance", "sku": sku, "attributes": attributes}
    return {"product": family, "serviceCode": "AmazonEC2", "terms": terms, "version": "20260720000000"}
