# SPDX-License-Identifier: Apache-2.0
# The AWS provider with nothing but an endpoint of ours. Keys and region come from the environment.

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

# "one", then "two": what an operator changes between two applies.
variable "turn" {
  type    = string
  default = "one"
}

variable "node" {
  type = string
}

locals {
  changed = var.turn == "two"
}

provider "aws" {
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
  skip_region_validation      = true

  endpoints {
    ssm = var.endpoint
  }
}
