//! The table itself. Counts, keys and variables are each provider's page in the CodePipeline user guide's 'Action
//! structure reference'; minutes are its 'Quotas' page, where every type not named there has one hour.

use super::{ActionType, MAX_VALUE_LENGTH, OutputVariables, Property};
use OutputVariables::{Fixed, Open};

const HOUR: u32 = 60;
const DAY: u32 = 24 * HOUR;

const fn optional(name: &'static str) -> Property {
    Property { name, required: false, secret: false, queryable: false, max_length: MAX_VALUE_LENGTH }
}

const fn required(name: &'static str) -> Property {
    Property { required: true, ..optional(name) }
}

/// What most types have in common; each entry says what is its own.
const AWS: ActionType = ActionType {
    category: "",
    owner: "AWS",
    provider: "",
    version: "1",
    inputs: 0..=0,
    outputs: 0..=0,
    configuration: &[],
    variables: Fixed(&[]),
    default_timeout_minutes: HOUR,
    silence_timeout_minutes: None,
    v2_only: false,
    built: false,
};

pub(super) static TYPES: &[ActionType] = &[
    ActionType {
        category: "Source",
        provider: "S3",
        outputs: 1..=1,
        configuration: &[
            required("S3Bucket"),
            required("S3ObjectKey"),
            optional("PollForSourceChanges"),
            optional("AllowOverrideForS3ObjectKey"),
        ],
        variables: Fixed(&["BucketName", "ETag", "ObjectKey", "VersionId"]),
        built: true,
        ..AWS
    },
    ActionType {
        category: "Approval",
        provider: "Manual",
        configuration: &[optional("NotificationArn"), optional("CustomData"), optional("ExternalEntityLink")],
        default_timeout_minutes: 7 * DAY,
        built: true,
        ..AWS
    },
    ActionType {
        category: "Deploy",
        provider: "S3",
        inputs: 1..=1,
        configuration: &[
            required("BucketName"),
            required("Extract"),
            optional("ObjectKey"),
            optional("KMSEncryptionKeyARN"),
            optional("CannedACL"),
            optional("CacheControl"),
        ],
        default_timeout_minutes: 90,
        built: true,
        ..AWS
    },
    ActionType {
        category: "Invoke",
        provider: "Lambda",
        inputs: 0..=5,
        outputs: 0..=5,
        configuration: &[required("FunctionName"), optional("UserParameters")],
        variables: Open,
        default_timeout_minutes: DAY,
        silence_timeout_minutes: Some(20),
        built: true,
        ..AWS
    },
    ActionType {
        category: "Invoke",
        provider: "StepFunctions",
        inputs: 0..=1,
        outputs: 0..=1,
        configuration: &[
            required("StateMachineArn"),
            optional("ExecutionNamePrefix"),
            optional("InputType"),
            optional("Input"),
        ],
        variables: Fixed(&["ExecutionArn", "StateMachineArn"]),
        default_timeout_minutes: 7 * DAY,
        built: true,
        ..AWS
    },
];
