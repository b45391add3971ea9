//! SSM parameters that name images.

use crate::cloud::call::GET_PARAMETER;
use crate::cloud::clients::Clients;
use crate::cloud::error::CloudReadError;

/// The value of a parameter; `None` if there is none of that name, or it names no image.
pub(crate) async fn read(
    clients: &Clients,
    name: String,
) -> Result<Option<String>, CloudReadError> {
    clients.gate.pass(GET_PARAMETER)?;
    match clients.ssm.get_parameter().name(&name).send().await {
        Ok(answer) => {
            let value = answer.parameter.and_then(|parameter| parameter.value);
            Ok(value.map(|id| id.trim().to_owned()).filter(|id| id.starts_with("ami-")))
        }
        Err(error) if error.as_service_error().is_some_and(|e| e.is_parameter_not_found()) => {
            Ok(None)
        }
        Err(error) => Err(CloudReadError::of(GET_PARAMETER, &clients.region, &name, &error)),
    }
}
