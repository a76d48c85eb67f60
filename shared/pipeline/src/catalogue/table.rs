//! The table itself. Counts, keys and variables are each provider's page in the CodePipeline user guide's 'Action
//! structure reference'; minutes are its 'Quotas' page, where every type not named there has one hour. The order is
//! that of the guide's 'Valid action providers'.

use super::{ActionType, MAX_VALUE_LENGTH, Need, Needed, OutputVariables, Property, ValueKind};
use OutputVariables::{Fixed, Open};

const HOUR: u32 = 60;
const DAY: u32 = 24 * HOUR;

/// The longest that a CodeBuild project may allow a build; its own time-out ends it earlier.
const CODEBUILD: u32 = 36 * HOUR;

const fn optional(name: &'static str) -> Property {
    Property {
        name,
        required: false,
        secret: false,
        queryable: false,
        max_length: MAX_VALUE_LENGTH,
        kind: ValueKind::Text,
    }
}

const fn required(name: &'static str) -> Property {
    Property { required: true, ..optional(name) }
}

const fn secret(name: &'static str) -> Property {
    Property { secret: true, ..required(name) }
}

const fn flag(name: &'static str) -> Property {
    optional(name).of(ValueKind::Boolean)
}

/// The canned ACLs of objects. Source: Amazon S3 user guide, 'Canned ACL'.
const CANNED_ACLS: &[&str] = &[
    "private",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
];

/// The kinds of tests that Device Farm runs for a pipeline.
const DEVICE_FARM_TESTS: &[&str] = &[
    "APPIUM_JAVA_JUNIT",
    "APPIUM_JAVA_TESTNG",
    "APPIUM_NODE",
    "APPIUM_RUBY",
    "APPIUM_PYTHON",
    "APPIUM_WEB_JAVA_JUNIT",
    "APPIUM_WEB_JAVA_TESTNG",
    "APPIUM_WEB_NODE",
    "APPIUM_WEB_RUBY",
    "APPIUM_WEB_PYTHON",
    "BUILTIN_FUZZ",
    "INSTRUMENTATION",
    "XCTEST",
    "XCTEST_UI",
];

/// How a source hands over a repository.
const OUTPUT_FORMAT: ValueKind = ValueKind::OneOf(&["CODE_ZIP", "CODEBUILD_CLONE_REF"]);

/// What most types have in common; each entry says what is its own.
const AWS: ActionType = ActionType {
    category: "",
    owner: "AWS",
    provider: "",
    version: "1",
    inputs: 0..=0,
    outputs: 0..=0,
    configuration: &[],
    needs: &[],
    other_keys: false,
    variables: Fixed(&[]),
    default_timeout_minutes: HOUR,
    silence_timeout_minutes: None,
    v2_only: false,
};

pub(super) static TYPES: &[ActionType] = &[
    ActionType {
        category: "Source",
        provider: "S3",
        outputs: 1..=1,
        configuration: &[
            required("S3Bucket"),
            required("S3ObjectKey"),
            flag("PollForSourceChanges"),
            flag("AllowOverrideForS3ObjectKey"),
        ],
        variables: Fixed(&["BucketName", "ETag", "ObjectKey", "VersionId"]),
        ..AWS
    },
    ActionType {
        category: "Source",
        provider: "ECR",
        outputs: 1..=1,
        configuration: &[required("RepositoryName"), optional("ImageTag")],
        variables: Fixed(&["ImageDigest", "ImageTag", "ImageURI", "RegistryId", "RepositoryName"]),
        ..AWS
    },
    ActionType {
        category: "Source",
        provider: "CodeCommit",
        outputs: 1..=1,
        configuration: &[
            required("RepositoryName"),
            required("BranchName"),
            flag("PollForSourceChanges"),
            optional("OutputArtifactFormat").of(OUTPUT_FORMAT),
        ],
        variables: Fixed(&["AuthorDate", "BranchName", "CommitId", "CommitMessage", "CommitterDate", "RepositoryName"]),
        ..AWS
    },
    ActionType {
        category: "Source",
        provider: "CodeStarSourceConnection",
        outputs: 1..=1,
        configuration: &[
            required("ConnectionArn"),
            required("FullRepositoryId"),
            required("BranchName"),
            optional("OutputArtifactFormat").of(OUTPUT_FORMAT),
            flag("DetectChanges"),
        ],
        variables: Fixed(&[
            "AuthorDate",
            "AuthorDisplayName",
            "AuthorEmail",
            "AuthorId",
            "BranchName",
            "CommitId",
            "CommitMessage",
            "ConnectionArn",
            "FullRepositoryName",
            "ProviderType",
        ]),
        ..AWS
    },
    ActionType {
        category: "Source",
        owner: "ThirdParty",
        provider: "GitHub",
        outputs: 1..=1,
        configuration: &[
            required("Owner"),
            required("Repo"),
            required("Branch"),
            secret("OAuthToken"),
            flag("PollForSourceChanges"),
        ],
        variables: Fixed(&[
            "AuthorDate",
            "BranchName",
            "CommitId",
            "CommitMessage",
            "CommitterDate",
            "RepositoryName",
            "CommitUrl",
        ]),
        ..AWS
    },
    ActionType {
        category: "Build",
        provider: "CodeBuild",
        inputs: 1..=5,
        outputs: 0..=5,
        configuration: &[
            required("ProjectName"),
            optional("PrimarySource"),
            flag("BatchEnabled"),
            optional("BuildspecOverride"),
            flag("CombineArtifacts"),
            optional("EnvironmentVariables"),
        ],
        variables: Open,
        default_timeout_minutes: CODEBUILD,
        ..AWS
    },
    ActionType {
        category: "Test",
        provider: "CodeBuild",
        inputs: 1..=5,
        outputs: 0..=5,
        configuration: &[
            required("ProjectName"),
            optional("PrimarySource"),
            flag("BatchEnabled"),
            optional("BuildspecOverride"),
            flag("CombineArtifacts"),
            optional("EnvironmentVariables"),
        ],
        variables: Open,
        default_timeout_minutes: CODEBUILD,
        ..AWS
    },
    ActionType {
        category: "Build",
        provider: "ECRBuildAndPublish",
        inputs: 1..=1,
        configuration: &[
            required("ECRRepositoryName"),
            optional("DockerFilePath"),
            optional("ImageTags"),
            optional("RegistryType").of(ValueKind::OneOf(&["private", "public"])),
        ],
        variables: Fixed(&["ECRImageDigestId", "ECRRepositoryName"]),
        v2_only: true,
        ..AWS
    },
    ActionType {
        category: "Compute",
        provider: "Commands",
        inputs: 1..=10,
        outputs: 0..=1,
        configuration: &[
            optional("EnvironmentType").of(ValueKind::OneOf(&["LINUX_CONTAINER", "WINDOWS_SERVER_2022_CONTAINER"])),
            optional("ComputeType").of(ValueKind::OneOf(&[
                "BUILD_GENERAL1_SMALL",
                "BUILD_GENERAL1_MEDIUM",
                "BUILD_GENERAL1_LARGE",
            ])),
            optional("VpcId"),
            optional("Subnets"),
            optional("SecurityGroupIds"),
        ],
        variables: Open,
        v2_only: true,
        ..AWS
    },
    ActionType {
        category: "Test",
        provider: "DeviceFarm",
        inputs: 1..=1,
        configuration: &[
            required("AppType").of(ValueKind::OneOf(&["iOS", "Android", "Web"])),
            required("ProjectId"),
            required("App"),
            required("DevicePoolArn"),
            required("TestType").of(ValueKind::OneOf(DEVICE_FARM_TESTS)),
            optional("AppiumVersion"),
            flag("RadioBluetoothEnabled"),
            flag("RecordAppPerformanceData"),
            flag("RecordVideo"),
            flag("RadioWifiEnabled"),
            flag("RadioNfcEnabled"),
            flag("RadioGpsEnabled"),
            optional("Test"),
            optional("TestSpec"),
            optional("FuzzEventCount").of(ValueKind::Number),
            optional("FuzzEventThrottle").of(ValueKind::Number),
            optional("FuzzRandomizerSeed").of(ValueKind::Number),
            optional("CustomHostMachineArtifacts"),
            optional("CustomDeviceArtifacts"),
            flag("UnmeteredDevicesOnly"),
            optional("JobTimeoutMinutes").of(ValueKind::Number),
            optional("Latitude"),
            optional("Longitude"),
        ],
        ..AWS
    },
    ActionType {
        category: "Approval",
        provider: "Manual",
        configuration: &[
            optional("NotificationArn"),
            optional("CustomData"),
            optional("ExternalEntityLink"),
            // Millrace's own.
            flag("ApproveUnchanged"),
        ],
        default_timeout_minutes: 7 * DAY,
        ..AWS
    },
    ActionType {
        category: "Deploy",
        provider: "S3",
        inputs: 1..=1,
        configuration: &[
            required("BucketName"),
            required("Extract").of(ValueKind::Boolean),
            optional("ObjectKey"),
            optional("KMSEncryptionKeyARN"),
            optional("CannedACL").of(ValueKind::OneOf(CANNED_ACLS)),
            optional("CacheControl"),
        ],
        needs: &[Need { key: "Extract", value: "false", needed: Needed::Key("ObjectKey") }],
        default_timeout_minutes: 90,
        ..AWS
    },
    ActionType {
        category: "Deploy",
        provider: "CloudFormation",
        inputs: 0..=10,
        outputs: 0..=1,
        configuration: &[
            required("ActionMode"),
            required("StackName"),
            optional("Capabilities"),
            optional("ChangeSetName"),
            optional("OutputFileName"),
            optional("ParameterOverrides"),
            optional("RoleArn"),
            optional("TemplateConfiguration"),
            optional("TemplatePath"),
        ],
        variables: Open,
        default_timeout_minutes: 3 * DAY,
        ..AWS
    },
    ActionType {
        category: "Deploy",
        provider: "CloudFormationStackSet",
        inputs: 1..=3,
        configuration: &[
            required("StackSetName"),
            required("TemplatePath"),
            optional("Description"),
            optional("Parameters"),
            optional("Capabilities"),
            optional("PermissionModel"),
            optional("AdministrationRoleArn"),
            optional("ExecutionRoleName"),
            optional("OrganizationsAutoDeployment"),
            optional("DeploymentTargets"),
            optional("Regions"),
            optional("FailureTolerancePercentage"),
            optional("MaxConcurrentPercentage"),
        ],
        variables: Fixed(&["OperationId", "StackSetId"]),
        default_timeout_minutes: 3 * DAY,
        ..AWS
    },
    ActionType {
        category: "Deploy",
        provider: "CloudFormationStackInstances",
        inputs: 0..=2,
        configuration: &[
            required("StackSetName"),
            required("Regions"),
            optional("DeploymentTargets"),
            optional("ParameterOverrides"),
            optional("FailureTolerancePercentage"),
            optional("MaxConcurrentPercentage"),
        ],
        variables: Fixed(&["OperationId", "StackSetId"]),
        default_timeout_minutes: 3 * DAY,
        ..AWS
    },
    ActionType {
        category: "Deploy",
        provider: "CodeDeploy",
        inputs: 1..=1,
        configuration: &[required("ApplicationName"), required("DeploymentGroupName")],
        variables: Fixed(&["DeploymentId"]),
        default_timeout_minutes: 5 * DAY,
        ..AWS
    },
    ActionType {
        category: "Deploy",
        provider: "CodeDeployToECS",
        inputs: 1..=5,
        configuration: &[
            required("ApplicationName"),
            required("DeploymentGroupName"),
            required("TaskDefinitionTemplateArtifact"),
            optional("TaskDefinitionTemplatePath"),
            required("AppSpecTemplateArtifact"),
            optional("AppSpecTemplatePath"),
            optional("Image1ArtifactName"),
            optional("Image1ContainerName"),
            optional("Image2ArtifactName"),
            optional("Image2ContainerName"),
            optional("Image3ArtifactName"),
            optional("Image3ContainerName"),
            optional("Image4ArtifactName"),
            optional("Image4ContainerName"),
        ],
        default_timeout_minutes: 5 * DAY,
        ..AWS
    },
    ActionType {
        category: "Deploy",
        provider: "EC2",
        inputs: 1..=1,
        configuration: &[
            required("InstanceTagKey"),
            required("InstanceType").of(ValueKind::OneOf(&["EC2", "SSM_MANAGED_NODE"])),
            optional("InstanceTagValue"),
            optional("TargetDirectory"),
            optional("DeploySpec"),
            optional("PreScript"),
            optional("PostScript"),
            optional("MaxBatch"),
            optional("MaxError"),
            optional("TargetGroupNameList"),
        ],
        v2_only: true,
        ..AWS
    },
    ActionType {
        category: "Deploy",
        provider: "ECS",
        inputs: 1..=1,
        configuration: &[
            required("ClusterName"),
            required("ServiceName"),
            optional("FileName"),
            optional("DeploymentTimeout"),
        ],
        ..AWS
    },
    ActionType {
        category: "Deploy",
        provider: "EKS",
        inputs: 1..=1,
        configuration: &[
            required("ClusterName"),
            optional("HelmReleaseName"),
            optional("HelmChartLocation"),
            optional("HelmValuesFiles"),
            optional("ManifestFiles"),
            optional("Namespace"),
            optional("Subnets"),
            optional("SecurityGroupIds"),
        ],
        variables: Fixed(&["EKSClusterName"]),
        v2_only: true,
        ..AWS
    },
    ActionType {
        category: "Deploy",
        provider: "ElasticBeanstalk",
        inputs: 1..=1,
        configuration: &[required("ApplicationName"), required("EnvironmentName")],
        ..AWS
    },
    ActionType {
        category: "Deploy",
        provider: "AppConfig",
        inputs: 1..=1,
        configuration: &[
            required("Application"),
            required("Environment"),
            required("ConfigurationProfile"),
            required("InputArtifactConfigurationPath"),
            optional("DeploymentStrategy"),
        ],
        ..AWS
    },
    ActionType {
        category: "Deploy",
        provider: "Lambda",
        inputs: 0..=1,
        configuration: &[
            required("FunctionName"),
            optional("FunctionAlias"),
            optional("PublishedTargetVersion"),
            optional("DeployStrategy"),
            optional("Alarms"),
        ],
        variables: Fixed(&["FunctionVersion"]),
        default_timeout_minutes: 2 * DAY,
        v2_only: true,
        ..AWS
    },
    ActionType {
        category: "Deploy",
        provider: "OpsWorks",
        inputs: 1..=1,
        configuration: &[required("Stack"), required("App"), optional("Layer")],
        other_keys: true,
        ..AWS
    },
    ActionType {
        category: "Deploy",
        provider: "ServiceCatalog",
        inputs: 1..=1,
        configuration: &[
            required("ProductId"),
            optional("TemplateFilePath"),
            optional("ProductVersionName"),
            optional("ProductVersionDescription"),
            optional("ProductType"),
            optional("ConfigurationFilePath"),
        ],
        ..AWS
    },
    ActionType {
        category: "Deploy",
        owner: "ThirdParty",
        provider: "AlexaSkillsKit",
        inputs: 1..=2,
        configuration: &[required("ClientId"), secret("ClientSecret"), secret("RefreshToken"), required("SkillId")],
        other_keys: true,
        ..AWS
    },
    ActionType {
        category: "Invoke",
        provider: "CodePipeline",
        configuration: &[
            required("PipelineName"),
            optional("SourceRevisions"),
            optional("Variables"),
            // Millrace's own.
            flag("WaitForCompletion"),
        ],
        // CodePipeline's ends as soon as it has begun; one that waits may wait for an approval.
        default_timeout_minutes: 7 * DAY,
        v2_only: true,
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
            optional("InputType").of(ValueKind::OneOf(&["Literal", "FilePath"])),
            optional("Input"),
        ],
        needs: &[
            Need { key: "InputType", value: "FilePath", needed: Needed::Key("Input") },
            Need { key: "InputType", value: "FilePath", needed: Needed::InputArtifact },
        ],
        variables: Fixed(&["ExecutionArn", "StateMachineArn"]),
        default_timeout_minutes: 7 * DAY,
        ..AWS
    },
    ActionType {
        category: "Invoke",
        provider: "InspectorScan",
        inputs: 0..=1,
        outputs: 1..=1,
        configuration: &[
            required("InspectorRunMode").of(ValueKind::OneOf(&["SourceCodeScan", "ECRImageScan"])),
            optional("ECRRepositoryName"),
            optional("ImageTag"),
            optional("CriticalThreshold").of(ValueKind::Number),
            optional("HighThreshold").of(ValueKind::Number),
            optional("MediumThreshold").of(ValueKind::Number),
            optional("LowThreshold").of(ValueKind::Number),
        ],
        needs: &[
            Need { key: "InspectorRunMode", value: "ECRImageScan", needed: Needed::Key("ECRRepositoryName") },
            Need { key: "InspectorRunMode", value: "SourceCodeScan", needed: Needed::InputArtifact },
        ],
        variables: Fixed(&["HighestScannedSeverity"]),
        ..AWS
    },
    ActionType {
        category: "Invoke",
        owner: "ThirdParty",
        provider: "Snyk",
        inputs: 1..=1,
        outputs: 1..=1,
        other_keys: true,
        ..AWS
    },
];
