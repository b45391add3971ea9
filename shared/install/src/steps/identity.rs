//! What roles rest on: the cluster's OIDC provider, for the webhook's service account, and the role by which EC2 sells spot capacity.

use super::{Changes, Done, Progress, Work};
use crate::calls::{
    IAM_ADD_CLIENT_ID_TO_OPEN_ID_CONNECT_PROVIDER, IAM_CREATE_OPEN_ID_CONNECT_PROVIDER,
    IAM_CREATE_SERVICE_LINKED_ROLE, IAM_GET_OPEN_ID_CONNECT_PROVIDER, IAM_LIST_ROLES,
};
use crate::change::{Change, Verb};
use crate::problem::Problem;
use crate::problem_of::{code, of_aws};
use crate::site::Site;

const SPOT_ROLE: &str = "AWSServiceRoleForEC2Spot";
const SPOT: &str = "spot.amazonaws.com";
/// Who service accounts' tokens are meant for.
const CLIENT: &str = "sts.amazonaws.com";

/// The OIDC provider and the spot role.
pub(super) struct Identity;

impl Work for Identity {
    fn name(&self) -> &'static str {
        "identity"
    }

    async fn look(&self, site: &Site) -> Changes {
        Ok(vec![provider(site).await?, spot_role(site).await?])
    }

    async fn carry_out(&self, site: &Site, _changes: &[Change], _progress: Progress<'_>) -> Done {
        match provider(site).await?.verb {
            Verb::Create => create_provider(site).await?,
            Verb::Update => add_client(site).await?,
            Verb::Keep | Verb::Remove | Verb::Conflict => {}
        }
        match spot_role(site).await?.verb {
            Verb::Create => create_spot_role(site).await,
            Verb::Keep | Verb::Update | Verb::Remove | Verb::Conflict => Ok(()),
        }
    }
}

fn provider_arn(site: &Site) -> Option<String> {
    let (partition, account) = (&site.partition, site.account.digits());
    let issuer = site.oidc_issuer.as_ref()?;
    Some(format!("arn:{partition}:iam::{account}:oidc-provider/{issuer}"))
}

/// The provider, and what is done about it.
pub(crate) async fn provider(site: &Site) -> Result<Change, Problem> {
    let object = "OIDC provider of the cluster";
    let Some(arn) = provider_arn(site) else {
        let told =
            "the cluster tells no OIDC issuer, so the webhook's service account can have no role";
        return Ok(Change::conflict(object, told));
    };
    let asked = site.aws.iam.get_open_id_connect_provider().open_id_connect_provider_arn(arn);
    match asked.send().await {
        Ok(found) if found.client_id_list().iter().any(|client| client == CLIENT) => {
            Ok(Change::keep(object, "for the webhook's service account"))
        }
        Ok(_) => Ok(Change::update(object, format!("client id {CLIENT} is added"))),
        Err(error) if code(&error) == "NoSuchEntity" => {
            Ok(Change::create(object, "for the webhook's service account"))
        }
        Err(error) => Err(of_aws(IAM_GET_OPEN_ID_CONNECT_PROVIDER, object, &error)),
    }
}

async fn create_provider(site: &Site) -> Result<(), Problem> {
    let issuer = site.oidc_issuer.clone().unwrap_or_default();
    let asked = site.aws.iam.create_open_id_connect_provider().url(format!("https://{issuer}"));
    match asked.client_id_list(CLIENT).send().await {
        Ok(_) => Ok(()),
        Err(error) if code(&error) == "EntityAlreadyExists" => Ok(()),
        Err(error) => {
            Err(of_aws(IAM_CREATE_OPEN_ID_CONNECT_PROVIDER, "OIDC provider of the cluster", &error))
        }
    }
}

async fn add_client(site: &Site) -> Result<(), Problem> {
    let asked = site.aws.iam.add_client_id_to_open_id_connect_provider().client_id(CLIENT);
    let asked = asked.set_open_id_connect_provider_arn(provider_arn(site));
    let added = asked.send().await;
    added.map(drop).map_err(|error| {
        of_aws(
            IAM_ADD_CLIENT_ID_TO_OPEN_ID_CONNECT_PROVIDER,
            "OIDC provider of the cluster",
            &error,
        )
    })
}

/// The spot role, and what is done about it.
pub(crate) async fn spot_role(site: &Site) -> Result<Change, Problem> {
    let object = format!("service-linked role {SPOT_ROLE}");
    let path = format!("/aws-service-role/{SPOT}/");
    let answer = site.aws.iam.list_roles().path_prefix(path).send().await;
    let answer = answer.map_err(|error| of_aws(IAM_LIST_ROLES, &object, &error))?;
    Ok(match answer.roles().is_empty() {
        true => Change::create(object, "without it EC2 sells no spot capacity"),
        false => Change::keep(object, ""),
    })
}

async fn create_spot_role(site: &Site) -> Result<(), Problem> {
    let asked = site.aws.iam.create_service_linked_role().aws_service_name(SPOT);
    match asked.send().await {
        Ok(_) => Ok(()),
        // Somebody was quicker; IAM has no code of its own for that.
        Err(error) if ["InvalidInput", "EntityAlreadyExists"].contains(&code(&error).as_str()) => {
            Ok(())
        }
        Err(error) => Err(of_aws(
            IAM_CREATE_SERVICE_LINKED_ROLE,
            format!("service-linked role {SPOT_ROLE}"),
            &error,
        )),
    }
}
