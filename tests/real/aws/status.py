"""DescribeInstanceStatus with the filters that EC2 has and moto has not, and with what a test says of an instance."""

import datetime

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses.instances import InstanceResponse

STATUSES_A_PAGE = 1000


def described(instance) -> dict:
    since, event = getattr(instance, "impaired_since", None), getattr(instance, "scheduled_event", None)
    check = {"Name": "reachability", "Status": "failed" if since else "passed"}
    if since:
        check["ImpairedSince"] = since
    later = utcnow() + datetime.timedelta(days=7)
    return {
        "InstanceId": instance.id,
        "AvailabilityZone": instance.placement.zone,
        "InstanceState": {"Code": instance.state_code, "Name": instance.state},
        "InstanceStatus": {"Status": "ok", "Details": [{"Name": "reachability", "Status": "passed"}]},
        "SystemStatus": {"Status": "impaired" if since else "ok", "Details": [check]},
        "Events": [{"Code": event, "Description": "planned", "NotBefore": later}] if event else [],
    }


def values(status: dict) -> dict:
    return {
        "event.code": [event["Code"] for event in status["Events"]],
        "instance-state-name": status["InstanceState"]["Name"],
        "instance-status.status": status["InstanceStatus"]["Status"],
        "system-status.status": status["SystemStatus"]["Status"],
    }


def install(page, like) -> None:
    def describe_instance_status(response) -> ActionResult:
        response.error_on_dryrun()
        filters, ids = response._filters_from_querystring(), response._get_param("InstanceIds", [])
        everything = response._get_bool_param("IncludeAllInstances", False)
        found = []
        for instance in response.ec2_backend.all_instances():
            if (ids and instance.id not in ids) or (not everything and instance.state != "running"):
                continue
            status = described(instance)
            known = values(status)
            if unknown := [name for name in filters if name not in known]:
                raise EC2ClientError("InvalidParameterValue", f"The filter '{unknown[0]}' is invalid")
            if all(like(known[name], patterns) for name, patterns in filters.items()):
                found.append(status)
        found, token = page(response, found, STATUSES_A_PAGE)
        return ActionResult({"InstanceStatuses": found, "NextToken": token})

    InstanceResponse.describe_instance_status = describe_instance_status
