//! Which instances an EC2 deploy goes to, and how many of them at a time. They are listed by Systems Manager, which knows EC2
//! instances and other nodes and finds both by their tags: EC2's API, whose SDK is larger than all others together, is not
//! asked.

use aws_sdk_ssm::Client;
use aws_sdk_ssm::operation::describe_instance_information::DescribeInstanceInformationError;
use aws_sdk_ssm::types::{InstanceInformationStringFilter, PlatformType, ResourceType};
use serde::Deserialize;

use crate::error::{ClassifyError, ErrorClass, ProviderError};

/// Source: CodePipeline user guide, 'Amazon EC2 action reference', 'The maximum fleet size supported is 500 instances'.
const MOST_INSTANCES: usize = 500;

/// `InstanceType`.
#[derive(Clone, Copy, Deserialize, PartialEq)]
pub(crate) enum InstanceType {
    #[serde(rename = "EC2")]
    Ec2,
    #[serde(rename = "SSM_MANAGED_NODE")]
    SsmManagedNode,
}

/// A number of instances, or a percentage of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Amount {
    Count(u32),
    Percent(u32),
}

impl Amount {
    fn parse(text: &str, least: u32) -> Option<Self> {
        let text = text.trim();
        let number = |digits: &str, most: u32| digits.parse().ok().filter(|number| (least..=most).contains(number));
        match text.strip_suffix('%') {
            Some(digits) => number(digits, 100).map(Self::Percent),
            None => number(text, 999_999).map(Self::Count),
        }
    }

    /// As Systems Manager takes it.
    pub(crate) fn text(self) -> String {
        match self {
            Self::Count(number) => number.to_string(),
            Self::Percent(number) => format!("{number}%"),
        }
    }

    /// How many that is of so many instances: of a percentage, the whole ones.
    pub(crate) fn of(self, all: usize) -> usize {
        match self {
            Self::Count(number) => number as usize,
            Self::Percent(number) => all * number as usize / 100,
        }
    }
}

/// A number from one on, or a percentage.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "&str")]
pub(crate) struct MaxBatch(pub(crate) Amount);

/// A number, or a percentage.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "&str")]
pub(crate) struct MaxError(pub(crate) Amount);

impl TryFrom<&str> for MaxBatch {
    type Error = &'static str;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        let why = "it must be a number of instances from 1, or a percentage from 1% to 100%";
        Amount::parse(text, 1).map(Self).ok_or(why)
    }
}

impl TryFrom<&str> for MaxError {
    type Error = &'static str;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        let why = "it must be a number of instances, or a percentage from 0% to 100%";
        Amount::parse(text, 0).map(Self).ok_or(why)
    }
}

/// The instances with a tag.
pub(crate) struct Fleet<'a> {
    pub(crate) client: &'a Client,
    pub(crate) region: &'a str,
    pub(crate) tag_key: &'a str,
    pub(crate) tag_value: Option<&'a str>,
    pub(crate) instance_type: InstanceType,
}

impl Fleet<'_> {
    /// How messages call them.
    pub(crate) fn label(&self) -> String {
        match self.tag_value {
            Some(value) => format!("the instances with the tag {}={value}", self.tag_key),
            None => format!("the instances with the tag {}", self.tag_key),
        }
    }

    /// The tag as filters and targets of Systems Manager name it: key and value.
    pub(crate) fn tag(&self) -> (String, &str) {
        match self.tag_value {
            Some(value) => (format!("tag:{}", self.tag_key), value),
            None => ("tag-key".to_owned(), self.tag_key),
        }
    }

    /// The ids of those of the `InstanceType`, and how many others there are. Systems Manager may manage none.
    pub(crate) async fn managed(&self) -> Result<(Vec<String>, usize), ProviderError> {
        let (key, value) = self.tag();
        let filter = InstanceInformationStringFilter::builder().key(key).values(value).build();
        let filter = filter.map_err(|error| ProviderError::configuration(error.to_string()))?;
        let mut pages = self.client.describe_instance_information().filters(filter).into_paginator().send();
        let (mut wanted, mut others) = (Vec::new(), 0);
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| ProviderError::aws("DescribeInstanceInformation", self.label(), &error))?;
            for found in page.instance_information_list.unwrap_or_default() {
                let is_managed_node = found.resource_type() == Some(&ResourceType::ManagedInstance);
                if is_managed_node != (self.instance_type == InstanceType::SsmManagedNode) {
                    others += 1;
                    continue;
                }
                let id = found.instance_id.unwrap_or_default();
                if found.platform_type.is_some_and(|platform| platform != PlatformType::Linux) {
                    return Err(ProviderError::configuration(format!("{id} of {} does not run Linux", self.label())));
                }
                wanted.push(id);
            }
            if wanted.len() > MOST_INSTANCES {
                return Err(self.refused(format!("they are more than {MOST_INSTANCES}")));
            }
        }
        Ok((wanted, others))
    }

    /// The same where there must be some: a command to nobody would succeed.
    pub(crate) async fn found(&self) -> Result<(Vec<String>, usize), ProviderError> {
        match self.managed().await? {
            (wanted, _) if wanted.is_empty() => {
                Err(self.refused(format!("Systems Manager manages none in {}", self.region)))
            }
            found => Ok(found),
        }
    }

    pub(crate) fn refused(&self, why: impl std::fmt::Display) -> ProviderError {
        ProviderError::configuration(format!("{}: {why}", self.label()))
    }
}

impl ClassifyError for DescribeInstanceInformationError {
    fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::InternalServerError(_) => Some(ErrorClass::Retryable),
            Self::InvalidFilterKey(_) | Self::InvalidInstanceInformationFilterValue(_) => {
                Some(ErrorClass::Configuration)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_numbers_or_percentages() {
        for (text, batch, error) in [
            ("1", Some("1"), Some("1")),
            (" 25% ", Some("25%"), Some("25%")),
            ("100%", Some("100%"), Some("100%")),
            ("0", None, Some("0")),
            ("0%", None, Some("0%")),
            ("101%", None, None),
            ("-1", None, None),
            ("some", None, None),
            ("%", None, None),
        ] {
            assert_eq!(MaxBatch::try_from(text).ok().map(|it| it.0.text()).as_deref(), batch, "{text}");
            assert_eq!(MaxError::try_from(text).ok().map(|it| it.0.text()).as_deref(), error, "{text}");
        }
    }

    #[test]
    fn a_percentage_of_instances_counts_whole_ones() {
        assert_eq!(Amount::Percent(25).of(10), 2);
        assert_eq!(Amount::Percent(100).of(7), 7);
        assert_eq!(Amount::Percent(1).of(7), 0);
        assert_eq!(Amount::Count(3).of(7), 3);
    }
}
