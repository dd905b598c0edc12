# SPDX-License-Identifier: Apache-2.0
# Documents of both forms, shared and tagged.

locals {
  command = {
    schemaVersion = "2.2"
    description   = "Say something."
    parameters = {
      word = { type = "String", description = "what to say", default = local.changed ? "vidi" : "veni" }
    }
    mainSteps = [{
      action = "aws:runShellScript"
      name   = "say"
      inputs = { runCommand = ["echo {{ word }}"] }
    }]
  }
}

resource "aws_ssm_document" "command" {
  name            = "say-something"
  document_type   = "Command"
  document_format = "JSON"
  target_type     = "/AWS::EC2::Instance"
  version_name    = local.changed ? "two" : "one"
  content         = jsonencode(local.command)
  permissions = {
    type        = "Share"
    account_ids = local.changed ? "444455556666" : "111122223333"
  }
  tags = local.changed ? { Environment = "Production", Owner = "web" } : { Environment = "Production", Stage = "blue" }
}

resource "aws_ssm_document" "runbook" {
  name            = "wait-a-second"
  document_type   = "Automation"
  document_format = "YAML"
  content         = <<-YAML
    schemaVersion: "0.3"
    description: Wait.
    mainSteps:
      - name: wait
        action: aws:sleep
        inputs:
          Duration: PT1S
  YAML
}

data "aws_ssm_document" "own" {
  name            = aws_ssm_document.runbook.name
  document_format = "JSON"
}

data "aws_ssm_document" "predefined" {
  name            = "AWS-RunPatchBaseline"
  document_format = "JSON"
}

output "documents" {
  value = {
    own        = jsondecode(data.aws_ssm_document.own.content).schemaVersion
    predefined = data.aws_ssm_document.predefined.document_type
    version    = aws_ssm_document.command.default_version
    parameter  = aws_ssm_document.command.parameter[0].default_value
    platforms  = aws_ssm_document.command.platform_types
  }
}
