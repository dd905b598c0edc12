# SPDX-License-Identifier: Apache-2.0
# Maintenance windows, targets and tasks in every form there is.

resource "aws_ssm_maintenance_window" "monthly" {
  name              = "monthly"
  schedule          = local.changed ? "cron(0 30 4 ? * TUE#2 *)" : "cron(30 4 ? * TUE#2 *)"
  schedule_offset   = local.changed ? 3 : 2
  schedule_timezone = "America/New_York"
  duration          = 24
  cutoff            = 0
  enabled           = false
  end_date          = "2037-01-01T00:00:00+01:00"
}

resource "aws_ssm_maintenance_window" "weekly" {
  name     = "weekly"
  schedule = local.changed ? "rate(14 days)" : "rate(7 days)"
  duration = local.changed ? 4 : 5
  cutoff   = 2
  enabled  = false
}

resource "aws_ssm_maintenance_window" "once" {
  name                       = "once"
  schedule                   = "at(2036-05-14T15:55:00)"
  duration                   = 1
  cutoff                     = 0
  enabled                    = false
  allow_unassociated_targets = true
}

resource "aws_ssm_maintenance_window_target" "ids" {
  window_id     = aws_ssm_maintenance_window.weekly.id
  resource_type = "INSTANCE"

  targets {
    key    = "InstanceIds"
    values = [var.node]
  }
}

resource "aws_ssm_maintenance_window_target" "keys" {
  window_id     = aws_ssm_maintenance_window.weekly.id
  name          = "keys"
  resource_type = "INSTANCE"

  targets {
    key    = "tag-key"
    values = local.changed ? ["Stage", "Owner"] : ["Stage"]
  }
}

resource "aws_ssm_maintenance_window_target" "group" {
  window_id     = aws_ssm_maintenance_window.weekly.id
  resource_type = "RESOURCE_GROUP"

  targets {
    key    = "resource-groups:Name"
    values = ["web"]
  }
  targets {
    key    = "resource-groups:ResourceTypeFilters"
    values = ["AWS::EC2::Instance"]
  }
}

resource "aws_ssm_maintenance_window_task" "whole" {
  window_id        = aws_ssm_maintenance_window.once.id
  name             = "whole"
  task_arn         = "AWS-RunShellScript"
  task_type        = "RUN_COMMAND"
  priority         = 4
  service_role_arn = "arn:aws:iam::${local.account}:role/windows"
  max_concurrency  = "2"
  max_errors       = local.changed ? "50%" : "0"

  targets {
    key    = "InstanceIds"
    values = [var.node]
  }

  task_invocation_parameters {
    run_command_parameters {
      comment              = "all that there is"
      document_hash        = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
      document_hash_type   = "Sha256"
      document_version     = local.changed ? "$DEFAULT" : "$LATEST"
      output_s3_bucket     = "reports"
      output_s3_key_prefix = "windows"
      service_role_arn     = "arn:aws:iam::${local.account}:role/notify"
      timeout_seconds      = 600

      cloudwatch_config {
        cloudwatch_log_group_name = "windows"
        cloudwatch_output_enabled = true
      }
      notification_config {
        notification_arn    = "arn:aws:sns:eu-central-1:${local.account}:ops"
        notification_events = ["Failed", "TimedOut"]
        notification_type   = "Invocation"
      }
      parameter {
        name   = "commands"
        values = ["echo {{WINDOW_ID}}", local.changed ? "id" : "uptime"]
      }
    }
  }
}

resource "aws_ssm_maintenance_window_task" "several" {
  priority        = 1
  window_id       = aws_ssm_maintenance_window.weekly.id
  task_arn        = "AWS-RunPatchBaselineWithHooks"
  task_type       = "RUN_COMMAND"
  max_concurrency = "25%"
  max_errors      = "0"
  cutoff_behavior = local.changed ? "CONTINUE_TASK" : "CANCEL_TASK"

  targets {
    key    = "WindowTargetIds"
    values = [aws_ssm_maintenance_window_target.ids.id, aws_ssm_maintenance_window_target.keys.id]
  }
}

resource "aws_ssm_maintenance_window_task" "function" {
  priority        = 1
  window_id       = aws_ssm_maintenance_window.weekly.id
  task_arn        = "arn:aws:lambda:eu-central-1:${local.account}:function:notify"
  task_type       = "LAMBDA"
  max_concurrency = "1"
  max_errors      = "1"

  targets {
    key    = "WindowTargetIds"
    values = [aws_ssm_maintenance_window_target.keys.id]
  }

  task_invocation_parameters {
    lambda_parameters {
      client_context = base64encode("{\"of\": \"windows\"}")
      payload        = jsonencode({ node = "{{TARGET_ID}}", turn = local.changed ? 2 : 1 })
      qualifier      = "$LATEST"
    }
  }
}

resource "aws_ssm_maintenance_window_task" "function_of_nobody" {
  window_id = aws_ssm_maintenance_window.weekly.id
  task_arn  = "notify"
  task_type = "LAMBDA"
  priority  = local.changed ? 7 : 6
}

resource "aws_ssm_maintenance_window_task" "runbook" {
  priority        = 1
  window_id       = aws_ssm_maintenance_window.weekly.id
  task_arn        = "AWS-RestartEC2Instance"
  task_type       = "AUTOMATION"
  max_concurrency = "1"
  max_errors      = "1"

  targets {
    key    = "WindowTargetIds"
    values = [aws_ssm_maintenance_window_target.ids.id]
  }

  task_invocation_parameters {
    automation_parameters {
      document_version = "$LATEST"
      parameter {
        name   = "InstanceId"
        values = [local.changed ? "{{RESOURCE_ID}}" : "{{TARGET_ID}}"]
      }
    }
  }
}

resource "aws_ssm_maintenance_window_task" "machine" {
  priority  = 1
  window_id = aws_ssm_maintenance_window.weekly.id
  task_arn  = "arn:aws:states:eu-central-1:${local.account}:stateMachine:rollout"
  task_type = "STEP_FUNCTIONS"

  task_invocation_parameters {
    step_functions_parameters {
      input = jsonencode({ window = "{{WINDOW_ID}}", turn = local.changed ? 2 : 1 })
      name  = "{{INVOCATION_ID}}"
    }
  }
}

locals {
  account = split(":", var.settings)[4]
}
