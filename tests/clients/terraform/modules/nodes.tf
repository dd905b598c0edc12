# SPDX-License-Identifier: Apache-2.0
# An activation, a service setting, and the nodes that are there.

variable "expires" {
  type = string
}

# The provider reads a setting's ARN back as its id.
variable "settings" {
  type = string
}

resource "aws_ssm_activation" "web" {
  name               = "web"
  description        = "web servers"
  iam_role           = "node"
  registration_limit = 5
  expiration_date    = var.expires
  tags               = { "Patch Group" = "web" }
}

resource "aws_ssm_service_setting" "throughput" {
  setting_id    = "${var.settings}/ssm/parameter-store/high-throughput-enabled"
  setting_value = local.changed ? "false" : "true"
}

data "aws_ssm_instances" "all" {
  filter {
    name   = "InstanceIds"
    values = [var.node]
  }
}

output "nodes" {
  value = tolist(data.aws_ssm_instances.all.ids)
}
