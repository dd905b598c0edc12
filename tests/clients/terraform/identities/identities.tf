# SPDX-License-Identifier: Apache-2.0
# Users, groups, roles and policies. The provider asks STS who it is; keys and region come from the environment.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

variable "endpoint" {
  type = string
}

variable "turn" {
  type    = string
  default = "one"
}

locals {
  changed = var.turn == "two"
}

provider "aws" {
  skip_metadata_api_check = true
  skip_region_validation  = true

  endpoints {
    iam = var.endpoint
    sts = var.endpoint
    ssm = var.endpoint
  }
}

data "aws_caller_identity" "me" {}

data "aws_iam_policy_document" "scan" {
  statement {
    sid       = "Scan"
    actions   = ["ssm:SendCommand"]
    resources = ["arn:aws:ssm:*:*:document/AWS-RunPatchBaseline"]
  }

  statement {
    sid       = "Nodes"
    actions   = local.changed ? ["ssm:SendCommand", "ssm:Describe*"] : ["ssm:SendCommand"]
    resources = ["arn:aws:ssm:*:*:managed-instance/*"]

    condition {
      test     = "StringEquals"
      variable = "ssm:resourceTag/env"
      values   = ["dev"]
    }
  }
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = [aws_iam_user.anna.arn]
    }

    condition {
      test     = "StringEquals"
      variable = "sts:ExternalId"
      values   = ["agreed"]
    }
  }
}

resource "aws_iam_user" "anna" {
  name = "anna"
  path = local.changed ? "/dev/" : "/ops/"
  tags = { team = local.changed ? "red" : "blue" }
}

resource "aws_iam_access_key" "anna" {
  user   = aws_iam_user.anna.name
  status = local.changed ? "Inactive" : "Active"
}

resource "aws_iam_user_policy" "anna" {
  name   = "reads"
  user   = aws_iam_user.anna.name
  policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = "ssm:Get*", Resource = "*" }] })
}

resource "aws_iam_user_policy_attachment" "anna" {
  user       = aws_iam_user.anna.name
  policy_arn = aws_iam_policy.scan.arn
}

resource "aws_iam_group" "patchers" {
  name = "patchers"
}

resource "aws_iam_user_group_membership" "anna" {
  user   = aws_iam_user.anna.name
  groups = [aws_iam_group.patchers.name]
}

resource "aws_iam_group_policy_attachment" "patchers" {
  group      = aws_iam_group.patchers.name
  policy_arn = "arn:aws:iam::aws:policy/PatchwrightAuditor"
}

resource "aws_iam_group_policy" "patchers" {
  name   = "nothing-of-production"
  group  = aws_iam_group.patchers.name
  policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Deny", Action = "ssm:Delete*", Resource = "*" }] })
}

resource "aws_iam_policy" "scan" {
  name        = "scan-dev"
  description = "Scans what is tagged env=dev"
  policy      = data.aws_iam_policy_document.scan.json
  tags        = { team = "blue" }
}

resource "aws_iam_role" "patcher" {
  name                 = "patcher"
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  max_session_duration = local.changed ? 7200 : 3600
  permissions_boundary = aws_iam_policy.scan.arn
  tags                 = { team = "blue" }
}

resource "aws_iam_role_policy" "patcher" {
  name   = "scan"
  role   = aws_iam_role.patcher.id
  policy = data.aws_iam_policy_document.scan.json
}

resource "aws_iam_role_policy_attachment" "patcher" {
  role       = aws_iam_role.patcher.name
  policy_arn = "arn:aws:iam::aws:policy/AmazonSSMReadOnlyAccess"
}

output "me" {
  value = data.aws_caller_identity.me.arn
}
