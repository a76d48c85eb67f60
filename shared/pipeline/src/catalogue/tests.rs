use std::collections::HashSet;

use super::*;

fn id(category: &str, owner: &str, provider: &str) -> TypeId {
    TypeId {
        category: category.to_owned(),
        owner: Some(owner.to_owned()),
        provider: provider.to_owned(),
        version: Some("1".to_owned()),
    }
}

#[test]
fn every_type_is_found_by_its_id() {
    for known in all() {
        assert!(std::ptr::eq(find(&known.id()).unwrap(), known), "{:?} is there once", known.id());
    }
}

#[test]
fn every_entry_is_well_formed() {
    for known in all() {
        let categories = ["Source", "Build", "Test", "Deploy", "Approval", "Invoke", "Compute"];
        assert!(categories.contains(&known.category) && ["AWS", "ThirdParty"].contains(&known.owner), "{known:?}");
        assert_eq!(known.version, "1");
        assert!(
            known.inputs.start() <= known.inputs.end() && known.outputs.start() <= known.outputs.end(),
            "{known:?}"
        );
        assert!(*known.inputs.end() <= 10 && *known.outputs.end() <= 5);
        assert!(known.default_timeout_minutes >= 60);
        let keys: HashSet<_> = known.configuration.iter().map(|property| property.name).collect();
        assert_eq!(keys.len(), known.configuration.len(), "{known:?}");
        if known.category == "Source" {
            assert_eq!((known.inputs.clone(), known.outputs.clone()), (0..=0, 1..=1));
        }
    }
}

#[test]
fn artifact_counts_of_the_guides_table() {
    let table = [
        ("Source", "AWS", "CodeCommit", 0..=0, 1..=1),
        ("Source", "AWS", "ECR", 0..=0, 1..=1),
        ("Source", "ThirdParty", "GitHub", 0..=0, 1..=1),
        ("Build", "AWS", "CodeBuild", 1..=5, 0..=5),
        ("Test", "AWS", "CodeBuild", 1..=5, 0..=5),
        ("Test", "AWS", "DeviceFarm", 1..=1, 0..=0),
        ("Approval", "AWS", "Manual", 0..=0, 0..=0),
        ("Deploy", "AWS", "S3", 1..=1, 0..=0),
        ("Deploy", "AWS", "CloudFormation", 0..=10, 0..=1),
        ("Deploy", "AWS", "CodeDeploy", 1..=1, 0..=0),
        ("Deploy", "AWS", "ElasticBeanstalk", 1..=1, 0..=0),
        ("Deploy", "AWS", "ECS", 1..=1, 0..=0),
        ("Deploy", "AWS", "OpsWorks", 1..=1, 0..=0),
        ("Deploy", "AWS", "ServiceCatalog", 1..=1, 0..=0),
        ("Invoke", "AWS", "Lambda", 0..=5, 0..=5),
        ("Invoke", "AWS", "StepFunctions", 0..=1, 0..=1),
        ("Deploy", "ThirdParty", "AlexaSkillsKit", 1..=2, 0..=0),
    ];
    for (category, owner, provider, inputs, outputs) in table {
        let known = find(&id(category, owner, provider)).unwrap();
        assert_eq!((known.inputs.clone(), known.outputs.clone()), (inputs, outputs), "{provider}");
    }
}

#[test]
fn time_outs_of_the_quotas_page() {
    let minutes = |category, provider| find(&id(category, "AWS", provider)).unwrap().default_timeout_minutes;
    assert_eq!(minutes("Approval", "Manual"), 10_080);
    assert_eq!(minutes("Deploy", "CloudFormation"), 4_320);
    assert_eq!(minutes("Deploy", "CodeDeploy"), 7_200);
    assert_eq!(minutes("Deploy", "S3"), 90);
    assert_eq!(minutes("Invoke", "StepFunctions"), 10_080);
    assert_eq!(minutes("Source", "S3"), 60);
    let lambda = find(&id("Invoke", "AWS", "Lambda")).unwrap();
    assert_eq!((lambda.default_timeout_minutes, lambda.silence_timeout_minutes), (1_440, Some(20)));
}

#[test]
fn an_id_must_match_in_all_four_parts() {
    let right = id("Source", "AWS", "S3");
    assert!(find(&right).is_some());
    for wrong in [
        TypeId { category: "Build".to_owned(), ..right.clone() },
        TypeId { owner: Some("Custom".to_owned()), ..right.clone() },
        TypeId { owner: None, ..right.clone() },
        TypeId { provider: "s3".to_owned(), ..right.clone() },
        TypeId { version: Some("2".to_owned()), ..right.clone() },
        TypeId { version: None, ..right },
    ] {
        assert!(find(&wrong).is_none(), "{wrong:?}");
    }
}

#[test]
fn secrets_are_marked() {
    let secrets: Vec<_> = all()
        .iter()
        .flat_map(|known| known.configuration.iter().filter(|key| key.secret).map(|key| (known.provider, key.name)))
        .collect();
    assert_eq!(
        secrets,
        [("GitHub", "OAuthToken"), ("AlexaSkillsKit", "ClientSecret"), ("AlexaSkillsKit", "RefreshToken")]
    );
}

#[test]
fn values_have_1000_characters_unless_the_type_says_otherwise() {
    assert_eq!(max_value_length(&id("Deploy", "AWS", "S3"), "ObjectKey"), 1000);
    assert_eq!(max_value_length(&id("Test", "Custom", "Mine"), "x"), 1000);
}
