"""The flow: from the bus over a queue to a function, what fails to the dead letters; and what a function inherits."""

import io
import json
import os
import zipfile
from pathlib import Path

from .environment import Case, client

QUEUE, DEAD = "selftest-queue", "selftest-queue-dead"


def archive() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as zipped:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        zipped.writestr(entry, (Path(__file__).parent / "bootstrap.py").read_text())
    return data.getvalue()


class Flow(Case):
    @classmethod
    def setUpClass(cls):
        sqs, cls.events = client("sqs"), client("events")
        cls.sqs = sqs

        def arn(url):
            attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
            return attributes["Attributes"]["QueueArn"]

        cls.dead = sqs.create_queue(QueueName=DEAD)["QueueUrl"]
        redrive = json.dumps({"deadLetterTargetArn": arn(cls.dead), "maxReceiveCount": 2})
        attributes = {"RedrivePolicy": redrive, "VisibilityTimeout": "1"}
        cls.queue = sqs.create_queue(QueueName=QUEUE, Attributes=attributes)["QueueUrl"]
        cls.events.create_event_bus(Name="selftest")
        cls.events.put_rule(Name="r", EventBusName="selftest", EventPattern='{"source":["selftest"]}')
        cls.events.put_targets(Rule="r", EventBusName="selftest", Targets=[{"Id": "q", "Arn": arn(cls.queue)}])
        cls.file = Path(os.environ["JOINER_REAL_STATE"], "selftest-events")
        cls.file.unlink(missing_ok=True)
        functions = client("lambda")
        functions.create_function(
            FunctionName="selftest",
            Runtime="provided.al2023",
            Handler="bootstrap",
            Role="arn:aws:iam::111122223333:role/selftest",
            Code={"ZipFile": archive()},
            Environment={"Variables": {"EVENTS_FILE": str(cls.file), "CLUSTER_NAME": "demo"}},
        )
        functions.create_event_source_mapping(
            FunctionName="selftest",
            EventSourceArn=arn(cls.queue),
            BatchSize=10,
            FunctionResponseTypes=["ReportBatchItemFailures"],
        )

    @classmethod
    def tearDownClass(cls):
        functions = client("lambda")
        for mapping in functions.list_event_source_mappings(FunctionName="selftest")["EventSourceMappings"]:
            functions.delete_event_source_mapping(UUID=mapping["UUID"])
        functions.delete_function(FunctionName="selftest")
        for url in (cls.queue, cls.dead):
            cls.sqs.delete_queue(QueueUrl=url)
        cls.events.remove_targets(Rule="r", EventBusName="selftest", Ids=["q"])
        cls.events.delete_rule(Name="r", EventBusName="selftest")
        cls.events.delete_event_bus(Name="selftest")

    def put(self, note):
        entry = {"Source": "selftest", "DetailType": "Test", "Detail": json.dumps({"note": note}), "EventBusName": "selftest"}
        self.assertEqual(self.events.put_events(Entries=[entry])["FailedEntryCount"], 0)

    def seen(self, note):
        if not self.file.exists():
            return []
        lines = [json.loads(line) for line in self.file.read_text().splitlines()]
        return [line for line in lines for record in line["event"]["Records"] if note in record["body"]]

    def test_an_event_reaches_the_function(self):
        self.put("hello")
        [line] = self.eventually("the function has the event", lambda: self.seen("hello"))
        event = json.loads(line["event"]["Records"][0]["body"])
        self.assertEqual((event["detail-type"], event["detail"]), ("Test", {"note": "hello"}))
        inherited = line["environment"]
        for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL_EKS", "AWS_ENDPOINT_URL_SSM"):
            self.assertEqual(inherited.get(name), os.environ[name], name)
        # The token check knows only this one secret, whatever the key.
        self.assertEqual(inherited["AWS_SECRET_ACCESS_KEY"], os.environ["AWS_SECRET_ACCESS_KEY"])

    def test_what_fails_twice_is_a_dead_letter(self):
        self.put("fail me")

        def letters():
            return self.sqs.receive_message(QueueUrl=self.dead, WaitTimeSeconds=1).get("Messages")

        [letter] = self.eventually("the dead letter", letters)
        self.assertIn("fail me", letter["Body"])
        self.assertEqual(len(self.seen("fail me")), 2)
