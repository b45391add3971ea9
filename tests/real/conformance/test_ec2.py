"""EC2 as the gap filler gives it: fleets, launch templates, prices, pages, faults, enforcement."""

from .environment import CLUSTER, Case, client, control, encoded


class Ec2Case(Case):
    def setUp(self):
        control("POST", "reset")
        self.ec2 = client("ec2")
        tag = [{"Name": "tag:karpenter.sh/discovery", "Values": [CLUSTER]}]
        self.subnets = {s["AvailabilityZone"]: s for s in self.ec2.describe_subnets(Filters=tag)["Subnets"]}
        self.group = self.ec2.describe_security_groups(Filters=tag)["SecurityGroups"][0]["GroupId"]
        self.image = self.parameter("amazon-linux-2023/x86_64/standard/recommended/image_id")

    def parameter(self, name):
        path = f"/aws/service/eks/optimized-ami/1.35/{name}"
        return client("ssm").get_parameter(Name=path)["Parameter"]["Value"]

    def template(self, name="nodes", image=None, **data):
        data = {
            "ImageId": image or self.image,
            "SecurityGroupIds": [self.group],
            "IamInstanceProfile": {"Name": f"KarpenterNodeInstanceProfile-{CLUSTER}"},
            "UserData": encoded("#!/bin/bash\n"),
            "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
            "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 33, "VolumeType": "gp3", "Encrypted": True}}],
            "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "from", "Value": "template"}]}],
        } | data
        tags = [{"ResourceType": "launch-template", "Tags": [{"Key": "own", "Value": "yes"}]}]
        self.ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data, TagSpecifications=tags)
        return name

    def fleet(self, overrides, count=1, lifecycle="spot", strategy=None, template="nodes", **options):
        if strategy:
            options["SpotOptions" if lifecycle == "spot" else "OnDemandOptions"] = {"AllocationStrategy": strategy}
        return self.ec2.create_fleet(
            Type="instant",
            LaunchTemplateConfigs=[{
                "LaunchTemplateSpecification": {"LaunchTemplateName": template, "Version": "$Latest"},
                "Overrides": [self.override(*each) for each in overrides],
            }],
            TargetCapacitySpecification={"TotalTargetCapacity": count, "DefaultTargetCapacityType": lifecycle},
            TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "from-fleet", "Value": "yes"}]}],
            **options,
        )

    def override(self, kind, zone="us-east-1a", priority=None):
        found = {"InstanceType": kind, "SubnetId": self.subnets[zone]["SubnetId"], "AvailabilityZone": zone}
        return found if priority is None else found | {"Priority": priority}

    def types(self, answer):
        return [(i["InstanceType"], len(i["InstanceIds"])) for i in answer["Instances"]]


class Fleets(Ec2Case):
    def setUp(self):
        super().setUp()
        self.template()

    def test_the_cheapest_override_is_taken_whatever_its_place(self):
        overrides = [("m5.4xlarge",), ("m5.large",), ("m5.2xlarge",)]
        for lifecycle in ("on-demand", "spot"):
            answer = self.fleet(overrides, lifecycle=lifecycle)
            self.assertEqual(self.types(answer), [("m5.large", 1)])
            self.assertEqual(answer["Instances"][0]["Lifecycle"], lifecycle)
            self.assertEqual(answer["Errors"], [])

    def test_priority_counts_if_the_strategy_says_so(self):
        overrides = [("m5.large", "us-east-1a", 9), ("m5.4xlarge", "us-east-1b", 1)]
        for lifecycle, strategy in [("on-demand", "prioritized"), ("spot", "capacity-optimized-prioritized")]:
            answer = self.fleet(overrides, lifecycle=lifecycle, strategy=strategy)
            self.assertEqual(self.types(answer), [("m5.4xlarge", 1)])

    def test_no_capacity_is_told_and_the_next_override_tried(self):
        control("POST", "faults", {"action": "CreateFleet", "code": "InsufficientInstanceCapacity", "type": "m5.large", "zone": "us-east-1a", "lifecycle": "spot"})
        answer = self.fleet([("m5.large",), ("m5.xlarge",)])
        self.assertEqual(self.types(answer), [("m5.xlarge", 1)])
        error = answer["Errors"][0]
        self.assertEqual(error["ErrorCode"], "InsufficientInstanceCapacity")
        self.assertEqual(error["LaunchTemplateAndOverrides"]["Overrides"]["InstanceType"], "m5.large")
        self.assertEqual(error["Lifecycle"], "spot")
        self.assertEqual(self.types(self.fleet([("m5.large",)], lifecycle="on-demand")), [("m5.large", 1)])
        self.assertEqual(self.types(self.fleet([("m5.large", "us-east-1b")])), [("m5.large", 1)])

    def test_no_capacity_anywhere_gives_errors_and_no_instance(self):
        control("POST", "faults", {"action": "CreateFleet", "code": "InsufficientInstanceCapacity", "type": "*"})
        answer = self.fleet([("m5.large",), ("m5.xlarge",)])
        self.assertEqual(answer["Instances"], [])
        self.assertEqual(len(answer["Errors"]), 2)
        self.assertEqual(control("GET", "instances"), [])

    def test_capacity_for_some(self):
        control("POST", "faults", {"action": "CreateFleet", "code": "InsufficientInstanceCapacity", "type": "m5.large", "available": 2})
        answer = self.fleet([("m5.large",), ("m5.xlarge",)], count=5)
        self.assertEqual(self.types(answer), [("m5.large", 2), ("m5.xlarge", 3)])

    def test_a_token_gives_the_same_answer_again(self):
        first = self.fleet([("m5.large",)], count=2, ClientToken="one")
        again = self.fleet([("m5.large",)], count=2, ClientToken="one")
        self.assertEqual(first["FleetId"], again["FleetId"])
        self.assertEqual(first["Instances"], again["Instances"])
        self.assertEqual(len(control("GET", "instances")), 2)
        with self.assertRaisesRegex(Exception, "IdempotentParameterMismatch"):
            self.fleet([("m5.large",)], count=3, ClientToken="one")
        self.assertNotEqual(first["FleetId"], self.fleet([("m5.large",)], count=2, ClientToken="two")["FleetId"])

    def test_an_answer_that_is_lost_has_launched_all_the_same(self):
        control("POST", "faults", {"action": "CreateFleet", "code": "ConnectionLost", "when": "after"})
        with self.assertRaises(Exception):
            self.fleet([("m5.large",)], ClientToken="lost")
        self.assertEqual(len(control("GET", "instances")), 1)
        self.fleet([("m5.large",)], ClientToken="lost")
        self.assertEqual(len(control("GET", "instances")), 1)

    def test_instances_have_what_the_template_says(self):
        answer = self.fleet([("m5.large", "us-east-1b")])
        ids = answer["Instances"][0]["InstanceIds"]
        found = self.ec2.describe_instances(InstanceIds=ids)["Reservations"][0]["Instances"][0]
        self.assertEqual(found["SecurityGroups"][0]["GroupId"], self.group)
        self.assertIn("KarpenterNodeInstanceProfile", found["IamInstanceProfile"]["Arn"])
        self.assertEqual(found["MetadataOptions"]["HttpTokens"], "required")
        self.assertEqual(found["InstanceLifecycle"], "spot")
        self.assertEqual(found["ImageId"], self.image)
        self.assertEqual(found["SubnetId"], self.subnets["us-east-1b"]["SubnetId"])
        tags = {tag["Key"]: tag["Value"] for tag in found["Tags"]}
        self.assertEqual(tags["from"], "template")
        self.assertEqual(tags["from-fleet"], "yes")
        self.assertEqual(tags["aws:ec2:fleet-id"], answer["FleetId"])
        self.assertIn("aws:ec2launchtemplate:id", tags)
        self.assertNotIn("own", tags)
        [device] = found["BlockDeviceMappings"]
        volume = self.ec2.describe_volumes(VolumeIds=[device["Ebs"]["VolumeId"]])["Volumes"][0]
        self.assertEqual((volume["Size"], volume["VolumeType"], volume["Encrypted"]), (33, "gp3", True))
        data = self.ec2.describe_instance_attribute(InstanceId=ids[0], Attribute="userData")["UserData"]["Value"]
        self.assertEqual(data, encoded("#!/bin/bash\n"))

    def test_what_does_not_go_together_is_refused_by_offer(self):
        def code(**arguments):
            return [error["ErrorCode"] for error in self.fleet(**arguments)["Errors"]]

        self.assertEqual(code(overrides=[("m7g.large",)]), ["InvalidParameterValue"])
        self.template("gone", image="ami-0123456789abcdef0")
        self.assertEqual(code(overrides=[("m5.large",)], template="gone"), ["InvalidAMIID.NotFound"])
        control("POST", "subnet", {"id": self.subnets["us-east-1a"]["SubnetId"], "available": 1})
        self.assertEqual(code(overrides=[("m5.large",)], count=2), ["InsufficientFreeAddressesInSubnet"])
        with self.assertRaisesRegex(Exception, "InvalidLaunchTemplateName.NotFoundException"):
            self.fleet([("m5.large",)], template="nothing")

    def test_a_type_that_a_zone_does_not_offer(self):
        filters = [{"Name": "instance-type", "Values": ["g7e.2xlarge"]}]
        listed = self.ec2.describe_instance_type_offerings(LocationType="availability-zone", Filters=filters)
        zones = {offer["Location"] for offer in listed["InstanceTypeOfferings"]}
        [absent] = set(self.subnets) - zones
        answer = self.fleet([("g7e.2xlarge", absent)])
        self.assertEqual([e["ErrorCode"] for e in answer["Errors"]], ["Unsupported"])
        self.assertEqual(answer["Instances"], [])


class Reads(Ec2Case):
    def test_instance_types_come_in_pages(self):
        first = self.ec2.describe_instance_types()
        self.assertEqual(len(first["InstanceTypes"]), 100)
        pages = self.ec2.get_paginator("describe_instance_types").paginate()
        names = [each["InstanceType"] for page in pages for each in page["InstanceTypes"]]
        self.assertGreater(len(names), 1300)
        self.assertEqual(len(names), len(set(names)))

    def test_offerings_take_wildcards(self):
        filters = [{"Name": "instance-type", "Values": ["m5.*"]}]
        found = self.ec2.describe_instance_type_offerings(LocationType="availability-zone", Filters=filters)
        self.assertGreater(len(found["InstanceTypeOfferings"]), 20)

    def test_spot_prices_differ_by_type_and_zone_and_are_below_on_demand(self):
        found = self.ec2.describe_spot_price_history(
            InstanceTypes=["m5.large", "m5.xlarge"], ProductDescriptions=["Linux/UNIX"]
        )["SpotPriceHistory"]
        prices = {(p["InstanceType"], p["AvailabilityZone"]): float(p["SpotPrice"]) for p in found}
        self.assertGreater(len(set(prices.values())), 6)
        self.assertTrue(all(0.01 < price < 0.2 for price in prices.values()), prices)

    def test_on_demand_prices(self):
        filters = [
            {"Type": "TERM_MATCH", "Field": "instanceType", "Value": "m5.large"},
            {"Type": "TERM_MATCH", "Field": "regionCode", "Value": "us-east-1"},
        ]
        found = client("pricing").get_products(ServiceCode="AmazonEC2", Filters=filters)["PriceList"]
        self.assertEqual(len(found), 1)
        self.assertIn('"USD": "0.0960000000"', found[0])

    def test_every_image_parameter_names_an_image(self):
        paths = [
            ("/aws/service/eks/optimized-ami/1.35/amazon-linux-2/recommended/image_id", "x86_64"),
            ("/aws/service/eks/optimized-ami/1.35/amazon-linux-2-arm64/recommended/image_id", "arm64"),
            ("/aws/service/eks/optimized-ami/1.35/amazon-linux-2-gpu/recommended/image_id", "x86_64"),
            ("/aws/service/eks/optimized-ami/1.35/amazon-linux-2023/x86_64/standard/recommended/image_id", "x86_64"),
            ("/aws/service/eks/optimized-ami/1.35/amazon-linux-2023/arm64/standard/recommended/image_id", "arm64"),
            ("/aws/service/eks/optimized-ami/1.35/amazon-linux-2023/x86_64/nvidia/recommended/image_id", "x86_64"),
            ("/aws/service/eks/optimized-ami/1.35/amazon-linux-2023/x86_64/neuron/recommended/image_id", "x86_64"),
            ("/aws/service/bottlerocket/aws-k8s-1.35/x86_64/latest/image_id", "x86_64"),
            ("/aws/service/bottlerocket/aws-k8s-1.35-nvidia/arm64/latest/image_id", "arm64"),
            ("/aws/service/ami-windows-latest/Windows_Server-2022-English-Core-EKS_Optimized-1.35/image_id", "x86_64"),
        ]
        for path, architecture in paths:
            image = client("ssm").get_parameter(Name=path)["Parameter"]["Value"]
            found = self.ec2.describe_images(ImageIds=[image])["Images"][0]
            self.assertEqual(found["Architecture"], architecture, path)
        listed = client("ssm").get_parameters_by_path(Path="/aws/service/bottlerocket/aws-k8s-1.35", Recursive=True)
        self.assertGreater(len(listed["Parameters"]), 3)

    def test_filters_of_instances(self):
        self.template()
        self.fleet([("m5.large",)])
        self.fleet([("m5.large",)], lifecycle="on-demand")

        def count(name, *values):
            found = self.ec2.describe_instances(Filters=[{"Name": name, "Values": list(values)}])
            return sum(len(r["Instances"]) for r in found["Reservations"])

        self.assertEqual(count("instance-lifecycle", "spot"), 1)
        self.assertEqual(count("tag:from", "temp*"), 2)
        self.assertEqual(count("tag:aws:ec2:fleet-id", "*"), 2)
        self.assertEqual(count("instance-state-name", "pending", "running"), 2)
        self.assertEqual(count("tag-key", "no-such-key"), 0)
        filters = [{"Name": "no-such-filter", "Values": ["x"]}]
        self.refused("InvalidParameterValue", self.ec2.describe_instances, Filters=filters)

    def test_capacity_reservations(self):
        self.assertEqual(self.ec2.describe_capacity_reservations()["CapacityReservations"], [])
        control("POST", "reservations", {"CapacityReservationId": "cr-1", "InstanceType": "p5.48xlarge", "State": "active", "AvailableInstanceCount": 2})
        filters = [{"Name": "state", "Values": ["active"]}]
        found = self.ec2.describe_capacity_reservations(Filters=filters)["CapacityReservations"]
        self.assertEqual(found[0]["AvailableInstanceCount"], 2)

    def test_launch_templates_come_in_pages_and_keep_their_tags_to_themselves(self):
        for number in range(20):
            self.template(f"template-{number}")
        found = self.ec2.describe_launch_templates(Filters=[{"Name": "tag:own", "Values": ["yes"]}])
        self.assertEqual(len(found["LaunchTemplates"]), 20)
        data = self.ec2.describe_launch_template_versions(LaunchTemplateName="template-1")["LaunchTemplateVersions"][0]
        kinds = [tags["ResourceType"] for tags in data["LaunchTemplateData"]["TagSpecifications"]]
        self.assertEqual(kinds, ["instance"])
        missing = {"LaunchTemplateName": "nothing"}
        self.refused("InvalidLaunchTemplateName.NotFoundException", self.ec2.delete_launch_template, **missing)

    def test_an_interruption_is_seen_in_the_spot_request(self):
        self.template()
        [instance] = self.fleet([("m5.large",)])["Instances"][0]["InstanceIds"]
        event = control("POST", "interrupt", {"instance": instance})
        self.assertEqual(event["detail"]["instance-action"], "terminate")
        filters = [{"Name": "status-code", "Values": ["marked-for-termination"]}]
        found = self.ec2.describe_spot_instance_requests(Filters=filters)["SpotInstanceRequests"]
        self.assertEqual([request["InstanceId"] for request in found], [instance])

    def test_the_cluster(self):
        cluster = client("eks").describe_cluster(name=CLUSTER)["cluster"]
        self.assertEqual(cluster["version"], "1.35")
        self.assertEqual(cluster["kubernetesNetworkConfig"]["serviceIpv4Cidr"], "172.20.0.0/16")
        self.assertEqual(cluster["resourcesVpcConfig"]["vpcId"], self.subnets["us-east-1a"]["VpcId"])


class Faults(Ec2Case):
    def test_throttling_comes_as_often_as_asked(self):
        control("POST", "faults", {"action": "DescribeInstances", "code": "RequestLimitExceeded", "times": 2})
        for _ in range(2):
            answer = self.refused("RequestLimitExceeded", self.ec2.describe_instances)
            self.assertEqual(answer["ResponseMetadata"]["HTTPStatusCode"], 503)
        self.ec2.describe_instances()

    def test_any_error_on_any_service(self):
        for service, action, call in [
            ("ssm", "GetParameter", lambda c: c.get_parameter(Name="/x")),
            ("eks", "DescribeCluster", lambda c: c.describe_cluster(name=CLUSTER)),
            ("iam", "GetInstanceProfile", lambda c: c.get_instance_profile(InstanceProfileName="x")),
            ("pricing", "GetProducts", lambda c: c.get_products(ServiceCode="AmazonEC2")),
        ]:
            control("POST", "faults", {"action": action, "code": "AccessDeniedException", "status": 403})
            self.refused("AccessDeniedException", call, c=client(service))

    def test_calls_are_counted(self):
        control("DELETE", "calls")
        self.ec2.describe_subnets()
        self.ec2.describe_subnets()
        client("eks").describe_cluster(name=CLUSTER)
        self.assertEqual(control("GET", "calls/count"), {"DescribeCluster": 1, "DescribeSubnets": 2})
        self.assertEqual(control("GET", "calls?since=2")[0]["action"], "DescribeCluster")


class Enforcement(Ec2Case):
    def test_only_what_the_policy_allows(self):
        policy = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": ["ec2:DescribeSubnets"], "Resource": "*"}],
        }
        keys = {"accessKeyId": "AKIAENFORCED", "secretAccessKey": "secret"}
        control("POST", "enforce", {"principals": {"functions": keys | {"policies": [policy]}}})
        enforced = client("ec2", aws_access_key_id="AKIAENFORCED", aws_secret_access_key="secret")
        enforced.describe_subnets()
        self.refused("UnauthorizedOperation", enforced.describe_instances)
        wrong = client("ec2", aws_access_key_id="AKIAENFORCED", aws_secret_access_key="other")
        self.refused("AuthFailure", wrong.describe_subnets)

    def tearDown(self):
        control("POST", "reset")
