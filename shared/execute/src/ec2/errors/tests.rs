use super::*;

fn check(code: &str, message: &str, status: u16, expected: &str) {
    let error = answered("CreateFleet", "b-1", "demo", code, message, status);
    assert_eq!(format!("{error:?}").split([' ', '{']).next().unwrap(), expected, "{code}");
}

#[test]
fn codes_are_told_apart_by_what_the_caller_can_do() {
    check("RequestLimitExceeded", "", 503, "Throttled");
    check("Throttling", "", 400, "Throttled");
    check("UnauthorizedOperation", "", 403, "Denied");
    check("AccessDenied", "", 403, "Denied");
    check("ExpiredToken", "", 400, "Credentials");
    check("RequestExpired", "", 400, "Credentials");
    check("AuthFailure", "", 401, "Credentials");
    check("AuthFailure.ServiceLinkedRoleCreationNotPermitted", "", 400, "Refused");
    check("InternalError", "", 500, "Unknown");
    check("ServiceUnavailable", "", 503, "Unknown");
    check("", "", 502, "Unknown");
    check(
        "InvalidParameterValue",
        "Value (x) for parameter iamInstanceProfile.name",
        400,
        "Unknown",
    );
    check("InvalidParameterValue", "Value (x) for parameter y", 400, "Refused");
    check("InvalidLaunchTemplateName.NotFoundException", "", 400, "NotFound");
    check("InvalidSubnetID.NotFound", "", 400, "NotFound");
    check("NoSuchEntity", "", 404, "NotFound");
    check("IdempotentParameterMismatch", "", 400, "Refused");
    check("", "", 404, "Refused");
}

fn check_action(message: &str, expected: &str) {
    assert_eq!(denied_action("CreateFleet", message), expected);
}

#[test]
fn the_action_denied_is_the_one_that_the_message_names() {
    check_action("You are not authorized to perform: iam:PassRole on resource: x", "iam:PassRole");
    check_action("You are not authorized to perform this operation.", "ec2:CreateFleet");
    check_action("perform: nothing", "ec2:CreateFleet");
    assert_eq!(denied_action("GetInstanceProfile", ""), "iam:GetInstanceProfile");
}

#[test]
fn statements_grant_the_action_within_the_cluster() {
    let actions = [
        "ec2:CreateFleet",
        "ec2:RunInstances",
        "ec2:CreateLaunchTemplate",
        "ec2:DeleteLaunchTemplate",
        "ec2:CreateTags",
        "ec2:TerminateInstances",
        "ec2:DescribeLaunchTemplates",
        "iam:PassRole",
        "iam:CreateInstanceProfile",
        "iam:AddRoleToInstanceProfile",
        "iam:CreateServiceLinkedRole",
    ];
    for action in actions {
        let statement = statement_for(action, "demo");
        let value = serde_json::from_str::<Value>(&statement).unwrap();
        let first = value.get(0).unwrap_or(&value);
        assert_eq!((&first["Effect"], &first["Action"]), (&json!("Allow"), &json!(action)));
        let scoped = statement.contains("kubernetes.io/cluster/demo\":\"owned\"");
        let by_cluster =
            !["ec2:DescribeLaunchTemplates", "iam:PassRole", "iam:CreateServiceLinkedRole"]
                .contains(&action);
        assert_eq!(scoped, by_cluster, "{statement}");
    }
    let expected = r#"{"Action":"ec2:TerminateInstances","Condition":{"StringEquals":{"aws:ResourceTag/kubernetes.io/cluster/demo":"owned"}},"Effect":"Allow","Resource":["arn:aws:ec2:*:*:instance/*"]}"#;
    assert_eq!(statement_for("ec2:TerminateInstances", "demo"), expected);
}
