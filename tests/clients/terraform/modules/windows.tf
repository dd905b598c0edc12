# SPDX-License-Identifier: Apache-2.0
# A maintenance window with targets and tasks.

resource "aws_ssm_maintenance_window" "nightly" {
  name                       = local.changed ? "nightly-changed" : "nightly"
  description                = "what is patched at night"
  schedule                   = local.changed ? "cron(0 3 ? * SUN *)" : "cron(0 2 ? * SUN *)"
  schedule_timezone          = "Europe/Berlin"
  duration                   = 3
  cutoff                     = 1
  allow_unassociated_targets = true
  start_date                 = "2036-01-01T00:00:00Z"
  tags                       = local.changed ? { Environment = "Production", Owner = "web" } : { Environment = "Production", Stage = "blue" }
}

resource "aws_ssm_maintenance_window_target" "web" {
  window_id         = aws_ssm_maintenance_window.nightly.id
  name              = local.changed ? "web-changed" : "web"
  description       = "the web servers"
  resource_type     = "INSTANCE"
  owner_information = "the web team"

  targets {
    key    = "tag:Patch Group"
    values = ["web"]
  }
  targets {
    key    = "tag:Stage"
    values = local.changed ? ["blue", "green"] : ["blue"]
  }
}

resource "aws_ssm_maintenance_window_task" "install" {
  window_id       = aws_ssm_maintenance_window.nightly.id
  name            = "install"
  description     = "install what is missing"
  task_arn        = "AWS-RunPatchBaseline"
  task_type       = "RUN_COMMAND"
  priority        = local.changed ? 3 : 2
  max_concurrency = "10%"
  max_errors      = "1"
  cutoff_behavior = "CANCEL_TASK"

  targets {
    key    = "WindowTargetIds"
    values = [aws_ssm_maintenance_window_target.web.id]
  }

  task_invocation_parameters {
    run_command_parameters {
      comment         = "nightly"
      timeout_seconds = 3600
      parameter {
        name   = "Operation"
        values = [local.changed ? "Scan" : "Install"]
      }
      parameter {
        name   = "RebootOption"
        values = ["RebootIfNeeded"]
      }
    }
  }
}

data "aws_ssm_maintenance_windows" "all" {
  filter {
    name   = "Enabled"
    values = ["true"]
  }
  filter {
    name   = "Name"
    values = [aws_ssm_maintenance_window.nightly.name]
  }
  depends_on = [aws_ssm_maintenance_window.nightly]
}

output "windows" {
  value = one(data.aws_ssm_maintenance_windows.all.ids) == aws_ssm_maintenance_window.nightly.id
}
