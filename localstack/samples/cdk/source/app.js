// A pipeline that deploys a function, in one stage for each environment. To see how it changes itself: run it, add a stage, and
// commit.
const { App, Duration, Stack, Stage } = require("aws-cdk-lib");
const { Code, Function, Runtime } = require("aws-cdk-lib/aws-lambda");
const { Queue } = require("aws-cdk-lib/aws-sqs");
const { PipelineType } = require("aws-cdk-lib/aws-codepipeline");
const { CodePipeline, CodePipelineSource, ManualApprovalStep, ShellStep } = require("aws-cdk-lib/pipelines");

class Counter extends Stack {
  constructor(scope, id) {
    super(scope, id);
    const queue = new Queue(this, "Counted", { retentionPeriod: Duration.days(1) });
    const count = new Function(this, "Count", {
      runtime: Runtime.PYTHON_3_12,
      handler: "index.handler",
      code: Code.fromAsset(`${__dirname}/function`),
      environment: { QUEUE_URL: queue.queueUrl },
    });
    queue.grantSendMessages(count);
  }
}

class Environment extends Stage {
  constructor(scope, id) {
    super(scope, id);
    new Counter(this, "Counter");
  }
}

class Release extends Stack {
  constructor(scope, id) {
    super(scope, id);
    const pipeline = new CodePipeline(this, "Pipeline", {
      pipelineName: "cdk",
      pipelineType: PipelineType.V2,
      synth: new ShellStep("Synth", {
        input: CodePipelineSource.connection("example/counter", "main", {
          connectionArn: "arn:aws:codeconnections:us-east-1:111122223333:connection/aEXAMPLE-8aad-4d5d-8878-dfcab0bc441f",
        }),
        commands: ["npm ci --prefer-offline --no-audit --no-fund", "npm run synth"],
      }),
    });
    pipeline.addStage(new Environment(app, "Test"));
    pipeline.addStage(new Environment(app, "Production"), { pre: [new ManualApprovalStep("Approve")] });
  }
}

const app = new App();
new Release(app, "Release");
app.synth();
