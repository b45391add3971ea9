"""
List prices of us-east-1 in dollars, without any free tier, and the month that is counted. Each with its source.

Sources: [1] aws.amazon.com/lambda/pricing, [2] /sqs/pricing, [3] /eventbridge/pricing, [4] /s3/pricing, [5] /cloudwatch/pricing,
[6] /vpc/pricing and /privatelink/pricing, [7] /ec2/pricing/on-demand, as of 2026.
"""

HOURS = 730  # of a month
DAYS = HOURS / 24

LAMBDA_REQUEST = 0.20e-6  # [1]
LAMBDA_GB_S = {"arm64": 0.0000133334, "x86_64": 0.0000166667}  # [1]
LAMBDA_VCPU_MB = 1769  # MB that come with one processor; less memory, less of it (Lambda's developer guide, "Memory")
SQS_REQUEST = 0.40e-6  # [2] standard queues
EVENTBRIDGE_EVENT = 1.00e-6  # [3] custom events, up to 64 KB; events of AWS's services cost nothing
SCHEDULER_CALL = 1.00e-6  # [3] EventBridge Scheduler
S3_PUT = 5.0e-6  # [4]
S3_GB_MONTH = 0.023  # [4]
LOGS_GB = 0.50  # [5] taken in
LOGS_GB_MONTH = 0.03  # [5] kept
METRIC = 0.30  # [5] a month, of the first ten thousand
ALARM = 0.10  # [5] a month
DASHBOARD = 3.00  # [5] a month
NAT_HOUR = 0.045  # [6] and as much per GB
ENDPOINT_HOUR = 0.01  # [6] an interface endpoint in one zone
NODE_HOUR = {"t3.medium": 0.0416, "c7g.large": 0.0725, "m5.large": 0.096}  # [7]

# An SQS queue with a function behind it is polled by five pollers, each of which waits up to 20 s for a message
# (Lambda's developer guide, "Using Lambda with Amazon SQS"; long polling's longest wait).
POLLERS, LONG_POLL_S = 5, 20

# The model cluster: 100 nodes, 20,000 pods a month that come in bursts.
NODES, PODS, BURSTS = 100, 20_000, 3_000
EVENTS_A_DAY = 500
TICKS = HOURS * 60
# The share of the account's events that are about Joiner's own instances: the dearer case is counted.
OWN_EVENTS = 1.0
# How long after its last invocation Lambda keeps a function warm, about; bursts are 15 minutes apart, so each is a cold start.
COLD_BURSTS = 1.0

# What the emulator does not show: how long AWS takes to answer. Round numbers, longer than is usual.
AWS_ROUND_TRIP_S = 0.15  # a Describe call within the region
CREATE_FLEET_S = 2.0  # karpenter-provider-aws, pull request 3827: 2 s until the fleet is requested
SANDBOX_START_S = 0.05  # what Lambda itself adds to a start is not billed; this covers loading a few megabytes
