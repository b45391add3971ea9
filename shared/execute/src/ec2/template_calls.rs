//! Launch templates: made when first named, deleted when long unused.

use super::{Ec2Cloud, wire};
use crate::launch_template::{PREFIX, Template, TemplateData, Templates};
use crate::ports::CloudError;
use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_sdk_ec2::types::{Filter, LaunchTemplate, ResourceType};
use model::labels;
use std::time::{SystemTime, UNIX_EPOCH};

const EXISTS: &str = "InvalidLaunchTemplateName.AlreadyExistsException";

impl Ec2Cloud {
    /// Makes the template, unless this process knows that it is there. One of the same name holds the same, so `AlreadyExists` is
    /// as good as made.
    pub(super) async fn ensure_template(&self, template: &Template) -> Result<(), CloudError> {
        let Some(data) = &template.data else { return Ok(()) };
        if self.knows_template(&template.name) {
            return Ok(());
        }
        // Of the batches that need it at once, one makes it.
        let _one = self.making_template.lock().await;
        if self.knows_template(&template.name) {
            return Ok(());
        }
        self.create_template(template, data).await?;
        let now = self.now_ms();
        self.memory().templates.insert(template.name.clone(), now);
        Ok(())
    }

    /// Whether the template is known to be there; it is named by that.
    fn knows_template(&self, name: &str) -> bool {
        let now = self.now_ms();
        match self.memory().templates.get_mut(name) {
            Some(used) => {
                *used = now;
                true
            }
            None => false,
        }
    }

    async fn create_template(
        &self,
        template: &Template,
        data: &TemplateData,
    ) -> Result<(), CloudError> {
        const CALL: &str = "CreateLaunchTemplate";
        self.take(CALL, 1, |buckets| &mut buckets.launch_templates)?;
        let own = wire::tag_specification(ResourceType::LaunchTemplate, &template.tags);
        let call = self
            .ec2
            .create_launch_template()
            .launch_template_name(&template.name)
            .launch_template_data(wire::template_data(data))
            .tag_specifications(own);
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some(EXISTS) => Ok(()),
            Err(error) => Err(self.error(CALL, &template.name, &error)),
        }
    }

    /// Forgets templates that turned out to be gone, so that they are made anew.
    pub(super) fn forget(&self, templates: &Templates) {
        let mut memory = self.memory();
        for template in &templates.templates {
            memory.templates.remove(&template.name);
        }
    }

    /// Deletes this cluster's templates that were made before, and not named by this process since, so many seconds ago. One that
    /// another process still names is made anew by it.
    pub(super) async fn clean_templates(&self, unused_for_s: i64) -> Result<usize, CloudError> {
        let mut deleted = 0;
        for name in self.old_templates(unused_for_s).await? {
            match self.delete_template(&name).await {
                Ok(()) => deleted += 1,
                Err(CloudError::NotFound { .. }) => {}
                Err(_) if deleted > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(deleted)
    }

    async fn old_templates(&self, unused_for_s: i64) -> Result<Vec<String>, CloudError> {
        const CALL: &str = "DescribeLaunchTemplates";
        self.take(CALL, 1, |buckets| &mut buckets.describe)?;
        let filter = Filter::builder()
            .name(format!("tag:{}", labels::EKS_CLUSTER_TAG))
            .values(&self.cluster)
            .build();
        let call = self.ec2.describe_launch_templates().filters(filter);
        let mut pages = call.into_paginator().page_size(200).send();
        let mut old = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.error(CALL, &self.cluster, &error))?;
            let found = page.launch_templates.unwrap_or_default();
            old.extend(found.iter().filter_map(|found| self.old_template(found, unused_for_s)));
        }
        Ok(old)
    }

    fn old_template(&self, found: &LaunchTemplate, unused_for_s: i64) -> Option<String> {
        let name = found.launch_template_name()?;
        let ours = name.strip_prefix(PREFIX)?.strip_prefix(&self.cluster)?.starts_with('/');
        let created = found.create_time()?.secs();
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        let age = i64::try_from(since_1970.as_secs()).ok()?.saturating_sub(created);
        let used = self.memory().templates.get(name).copied();
        let idle = used.map(|at| self.now_ms().saturating_sub(at) / 1_000);
        let idle = idle.map_or(i64::MAX, |idle| i64::try_from(idle).unwrap_or(i64::MAX));
        (ours && age.min(idle) >= unused_for_s).then(|| name.to_owned())
    }

    async fn delete_template(&self, name: &str) -> Result<(), CloudError> {
        const CALL: &str = "DeleteLaunchTemplate";
        self.take(CALL, 1, |buckets| &mut buckets.launch_templates)?;
        let call = self.ec2.delete_launch_template().launch_template_name(name);
        call.send().await.map_err(|error| self.error(CALL, name, &error))?;
        self.memory().templates.remove(name);
        Ok(())
    }
}
